from pathlib import Path

import pytest
import yaml

from tests.k8s.conftest import Render
from tests.k8s.manifests import ROOT, ray_service
from tests.k8s.mutations import DELETE, Mutation, change, group, the, worker
from tests.k8s.schemas import violations


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_every_object_has_a_schema_and_keeps_it(overlay: str, rendered: Render, crds: Path) -> None:
    found = [problem for each in rendered(overlay) for problem in violations(each, crds)]
    assert found == []


def test_gateway_keeps_its_schema(crds: Path) -> None:
    content = (ROOT / "kuberay" / "platform" / "gateway.yaml").read_text()
    assert [each for one in yaml.safe_load_all(content) for each in violations(one, crds)] == []


CLUSTER = "spec.rayClusterConfig"
MONITOR = the("PodMonitor", "sentiment")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change(ray_service, f"{CLUSTER}.headGroupSpec.templates", {}), "'templates'"),
        (change(worker, "readyProbe", {}), "'readyProbe'"),
        (change(ray_service, "spec.serveConfigV2", 3), "3 is not of type 'string'"),
        (change(ray_service, CLUSTER, DELETE), "'rayClusterConfig' is a required property"),
        (
            change(the("HTTPRoute", "sentiment"), "spec.rules.0.timeouts.request", "70"),
            "'70' does not match",
        ),
        (change(MONITOR, "spec.podMetricsEndpoints.0.ports", "metrics"), "'ports'"),
        (
            change(the("PrometheusRule", "sentiment"), "spec.groups.0.rules.0.expr", DELETE),
            "'expr' is a required property",
        ),
        (change(the("NetworkPolicy", "ray"), "spec.egres", []), "'egres'"),
        (
            change(the("SecretStore", "key-vault"), "spec.provider.azurekv.vault", "x"),
            "azurekv.vault",
        ),
        (
            change(the("PodDisruptionBudget", "sentiment-ray-worker"), "spec.minAvailable", [1]),
            "[1] is not",
        ),
    ],
)
def test_a_broken_object_is_found(
    break_it: Mutation, message: str, rendered: Render, crds: Path
) -> None:
    objects = rendered("prod")
    break_it(objects)
    found = [problem for each in objects for problem in violations(each, crds)]
    assert len(found) == 1
    assert message in found[0]


def test_defaults_are_applied_before_a_required_field_is_missed(
    rendered: Render, crds: Path
) -> None:
    objects = rendered("prod")
    change(group, "maxReplicas", DELETE)(objects)
    assert list(violations(ray_service(objects), crds)) == []


def test_a_kind_without_a_schema_is_not_passed_over(crds: Path) -> None:
    unknown = {"apiVersion": "example.com/v1", "kind": "Unknown", "metadata": {"name": "x"}}
    with pytest.raises(FileNotFoundError):
        list(violations(unknown, crds))
