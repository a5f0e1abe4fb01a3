from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.k8s.conftest import Render
from tests.k8s.manifests import ROOT, Object, named, ray_service, worker_groups
from tests.k8s.schemas import violations

# Kinds whose CRDs are not at hand, with every field that the manifests may use.
FIELDS = {
    "SecretStore": {
        "spec.provider.azurekv.authType",
        "spec.provider.azurekv.vaultUrl",
        "spec.provider.azurekv.serviceAccountRef.name",
    },
    "ExternalSecret": {
        "spec.refreshInterval",
        "spec.secretStoreRef.kind",
        "spec.secretStoreRef.name",
        "spec.target.name",
        "spec.target.creationPolicy",
        "spec.data[].secretKey",
        "spec.data[].remoteRef.key",
    },
}


def fields(value: object, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {leaf for key, each in value.items() for leaf in fields(each, f"{path}.{key}")}
    if isinstance(value, list):
        return {leaf for each in value for leaf in fields(each, f"{path}[]")}
    return {path.removeprefix(".")}


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_every_object_has_a_schema_and_keeps_it(overlay: str, rendered: Render, crds: Path) -> None:
    found = []
    for each in rendered(overlay):
        if each["kind"] in FIELDS:
            found += sorted(fields({"spec": each["spec"]}) - FIELDS[each["kind"]])
        else:
            found += violations(each, crds)
    assert found == []


def test_gateway_keeps_its_schema(crds: Path) -> None:
    content = (ROOT / "kuberay" / "platform" / "gateway.yaml").read_text()
    assert [each for one in yaml.safe_load_all(content) for each in violations(one, crds)] == []


def misspelt_field(objects: list[Object]) -> None:
    ray_service(objects)["spec"]["rayClusterConfig"]["headGroupSpec"]["templates"] = {}


def misspelt_field_deep_inside(objects: list[Object]) -> None:
    worker_groups(objects)[0]["template"]["spec"]["containers"][0]["readyProbe"] = {}


def number_for_a_text(objects: list[Object]) -> None:
    ray_service(objects)["spec"]["serveConfigV2"] = 3


def missing_cluster(objects: list[Object]) -> None:
    del ray_service(objects)["spec"]["rayClusterConfig"]


def unknown_duration(objects: list[Object]) -> None:
    named(objects, "HTTPRoute", "sentiment")["spec"]["rules"][0]["timeouts"]["request"] = "70"


def port_of_a_monitor_without_name(objects: list[Object]) -> None:
    endpoints = named(objects, "PodMonitor", "sentiment")["spec"]["podMetricsEndpoints"]
    endpoints[0]["ports"] = endpoints[0].pop("port")


def rule_without_expression(objects: list[Object]) -> None:
    del named(objects, "PrometheusRule", "sentiment")["spec"]["groups"][0]["rules"][0]["expr"]


def misspelt_field_of_a_core_kind(objects: list[Object]) -> None:
    named(objects, "NetworkPolicy", "ray")["spec"]["egres"] = []


def budget_in_words(objects: list[Object]) -> None:
    named(objects, "PodDisruptionBudget", "sentiment-ray-worker")["spec"]["minAvailable"] = [1]


@pytest.mark.parametrize(
    "break_it",
    [
        misspelt_field,
        misspelt_field_deep_inside,
        number_for_a_text,
        missing_cluster,
        unknown_duration,
        port_of_a_monitor_without_name,
        rule_without_expression,
        misspelt_field_of_a_core_kind,
        budget_in_words,
    ],
)
def test_a_broken_object_is_found(
    break_it: Callable[[list[Object]], None], rendered: Render, crds: Path
) -> None:
    objects = rendered("prod")
    break_it(objects)
    known = [each for each in objects if each["kind"] not in FIELDS]
    assert len([found for each in known for found in violations(each, crds)]) >= 1
