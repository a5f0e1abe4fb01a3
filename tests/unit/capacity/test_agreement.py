"""`configs/prod.yaml` and `kuberay/` agree with the table of capacity."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app import capacity as table
from serve_app.ray_serve.config import ServeConfig, load, read

ROOT = Path(__file__).parents[3]
KUBERAY = ROOT / "kuberay"

# HAProxy and Ray's own processes take half a CPU.
POD_CPU_REQUEST = table.POD_CPUS + 0.5
NODE_CPUS = 8
# A replica goes after the first time, its pod after the second, its node after ten more minutes,
# the default of the AKS autoscaler.
REPLICA_IDLE_S = 300
POD_IDLE_S = 300


def max_replicas(role: table.Role) -> int:
    return role.per_pod * table.MAX_PODS


@pytest.fixture
def kuberay() -> Path:
    if not (KUBERAY / "base" / "rayservice.yaml").is_file():
        pytest.skip("there is no kuberay/")
    return KUBERAY


@pytest.fixture
def cluster(kuberay: Path) -> dict[str, Any]:
    spec: dict[str, Any] = read(kuberay / "base" / "rayservice.yaml")["spec"]["rayClusterConfig"]
    return spec


@pytest.fixture
def workers(cluster: dict[str, Any]) -> dict[str, Any]:
    (group,) = cluster["workerGroupSpecs"]
    assert isinstance(group, dict)
    return group


def settings(kuberay: Path) -> dict[str, str]:
    """Return the variables of the scripts that make the cluster."""
    text = (kuberay / "platform" / "settings.sh").read_text()
    return dict(re.findall(r"^(\w+)=(\S+)$", text, flags=re.MULTILINE))


def test_production_reserves_and_scales_replicas_as_the_table_says() -> None:
    for deployment, role in zip(
        load(ROOT / "configs" / "prod.yaml").applications[0].deployments,
        (table.GATEWAY, table.CLASSIFIER),
        strict=True,
    ):
        assert deployment.ray_actor_options.num_cpus == role.cpus
        assert deployment.autoscaling_config.max_replicas == max_replicas(role)
        assert deployment.autoscaling_config.downscale_delay_s == REPLICA_IDLE_S


def test_the_replicas_of_the_production_overlay_fit_its_pods(kuberay: Path) -> None:
    patch = yaml.safe_load((kuberay / "overlays" / "prod" / "serve.patch.yaml").read_text())
    (served,) = [each["value"] for each in patch if each["path"] == "/spec/serveConfigV2"]
    config = ServeConfig.model_validate(yaml.safe_load(served))
    for deployment, role in zip(
        config.applications[0].deployments, (table.GATEWAY, table.CLASSIFIER), strict=True
    ):
        scaling = deployment.autoscaling_config
        assert (scaling.min_replicas, scaling.max_replicas) == (
            role.min_replicas,
            max_replicas(role),
        )
        assert deployment.max_replicas_per_node == role.per_pod


def test_worker_pods_are_those_of_the_table(workers: dict[str, Any]) -> None:
    (container,) = workers["template"]["spec"]["containers"]
    requested = str(container["resources"]["requests"]["cpu"])
    cpus = float(requested[:-1]) / 1000 if requested.endswith("m") else float(requested)
    assert cpus == POD_CPU_REQUEST
    assert workers["rayStartParams"]["num-cpus"] == str(table.POD_CPUS)
    assert (workers["minReplicas"], workers["maxReplicas"]) == (table.MIN_PODS, table.MAX_PODS)


def test_pods_are_released_as_the_table_says(
    cluster: dict[str, Any], workers: dict[str, Any]
) -> None:
    assert workers["idleTimeoutSeconds"] == POD_IDLE_S
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] == POD_IDLE_S


def test_the_node_pool_holds_two_clusters(kuberay: Path) -> None:
    found = settings(kuberay)
    assert found["WORKER_SIZE"] == table.NODE_SIZE
    assert int(found["WORKER_NODES_MIN"]) == table.MIN_PODS
    assert int(found["WORKER_NODES_MAX"]) == table.MAX_NODES


def test_all_pods_hold_the_maximum_of_replicas_and_a_node_holds_a_pod() -> None:
    roles = (table.GATEWAY, table.CLASSIFIER)
    assert sum(max_replicas(role) * role.cpus for role in roles) <= table.MAX_PODS * table.POD_CPUS
    assert sum(role.min_replicas * role.cpus for role in roles) <= table.MIN_PODS * table.POD_CPUS
    assert table.POD_CPUS < POD_CPU_REQUEST < NODE_CPUS
