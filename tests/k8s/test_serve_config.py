from importlib import import_module

import pytest
import yaml
from pydantic import ValidationError

from kuberay.generate import CONFIG, generated, prometheus_rule, serve_config, serve_patch
from serve_app.errors import InvalidConfig
from serve_app.ray_serve.config import ServeConfig, read
from tests.k8s import serve_schema
from tests.k8s.conftest import Render
from tests.k8s.manifests import Object
from tests.k8s.manifests import serve_config as served


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_ray_and_the_service_accept_the_configuration(overlay: str, rendered: Render) -> None:
    config = served(rendered(overlay))
    assert list(serve_schema.violations(config)) == []
    ServeConfig.model_validate(config)
    module, _, builder = config["applications"][0]["import_path"].partition(":")
    assert callable(getattr(import_module(module), builder))


def test_generated_files_are_up_to_date() -> None:
    stale = [path.name for path, content in generated() if path.read_text() != content]
    assert stale == [], "run `make manifests` and commit what it writes"


def test_production_serves_its_configuration_file_but_for_the_replicas(rendered: Render) -> None:
    deployed, written = served(rendered("prod")), read(CONFIG)
    del written["environment"]
    for config in (deployed, written):
        for application in config["applications"]:
            for deployment in application["deployments"]:
                deployment.get("autoscaling_config", {}).pop("min_replicas", None)
                deployment.pop("max_replicas_per_node", None)
    assert deployed == written


@pytest.fixture
def config() -> Object:
    return read(CONFIG)


def test_environment_becomes_variables_of_head_and_workers(config: Object) -> None:
    config["environment"] = {"RAY_A": "1"}
    serve, *variables = serve_patch(config)
    assert "environment" not in yaml.safe_load(serve["value"])
    assert [each["path"].split("/")[3] for each in variables] == [
        "headGroupSpec",
        "workerGroupSpecs",
    ]
    assert [each["value"] for each in variables] == [{"name": "RAY_A", "value": "1"}] * 2


def test_replicas_are_laid_over_a_deployment(config: Object) -> None:
    laid = serve_config(config, {"Gateway": {"autoscaling_config": {"max_replicas": 7}}})
    gateway = laid["applications"][0]["deployments"][0]
    assert gateway["autoscaling_config"]["max_replicas"] == 7
    assert gateway["autoscaling_config"]["upscale_delay_s"] > 0
    assert config == read(CONFIG)


def test_replicas_of_an_unknown_deployment_are_refused(config: Object) -> None:
    with pytest.raises(InvalidConfig, match="Gatway"):
        serve_config(config, {"Gatway": {}})


def test_impossible_replicas_are_refused(config: Object) -> None:
    with pytest.raises(ValidationError, match="min_replicas"):
        serve_config(config, {"Gateway": {"autoscaling_config": {"min_replicas": 0}}})


def test_any_rules_file_becomes_an_object() -> None:
    groups = [{"name": "any", "interval": "30s", "rules": [{"record": "a", "expr": "b"}]}]
    assert prometheus_rule({"groups": groups})["spec"] == {"groups": groups}
