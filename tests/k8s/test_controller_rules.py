"""The manifests against what KubeRay 1.7 refuses after the API server has accepted it.

The controller reports these as the condition Ready=False, reason ValidationFailed. The rules are
those of ray-operator/controllers/ray/utils/validation.go and common/service.go that concern fields
of these manifests, with the feature gates of a default installation.
"""

import re
from collections.abc import Iterator

import pytest

from tests.k8s.conftest import Render
from tests.k8s.manifests import Object, environment, ray_service


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_controller_accepts_the_service(overlay: str, rendered: Render) -> None:
    service = ray_service(rendered(overlay))
    cluster = service["spec"]["rayClusterConfig"]
    problems = [*_service(service), *_groups(cluster), *_workers(cluster), *_head(cluster)]
    assert problems == []


def _service(service: Object) -> Iterator[str]:
    spec, name = service["spec"], service["metadata"]["name"]
    if len(name) > 47 or not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield "the name is not a DNS-1035 label of at most 47 characters"
    kind = spec.get("upgradeStrategy", {}).get("type", "NewCluster")
    # An incremental upgrade has rules of its own.
    if kind not in {"None", "NewCluster"}:
        yield f"upgradeStrategy.type is {kind}"
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        yield "rayClusterDeletionDelaySeconds is negative"
    for field in ("upgradeStrategy", "networkPolicy", "tlsOptions", "historyServerOptions"):
        if field in spec["rayClusterConfig"]:
            yield f"rayClusterConfig.{field} needs a feature gate or belongs elsewhere"
    if service["metadata"].get("annotations", {}).keys() & {
        "ray.io/ft-enabled",
        "ray.io/external-storage-namespace",
    }:
        yield "fault tolerance is configured by an annotation and by gcsFaultToleranceOptions"


def _groups(cluster: Object) -> Iterator[str]:
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        name, parameters = group.get("groupName", "head"), group.get("rayStartParams", {})
        pod = group["template"]["spec"]
        if not pod.get("containers"):
            yield f"{name} has no container"
        if group.get("resources") and parameters.keys() & {
            "num-cpus",
            "num-gpus",
            "memory",
            "resources",
        }:
            yield f"{name} has its resources in rayStartParams and in resources"
        if "labels" in parameters:
            yield f"{name} has labels in rayStartParams"
        if pod.get("restartPolicy", "Never") != "Never":
            yield f"{name} has a restartPolicy that autoscaler v2 does not allow"


def _workers(cluster: Object) -> Iterator[str]:
    groups = cluster["workerGroupSpecs"]
    if len({group["groupName"] for group in groups}) != len(groups):
        yield "two worker groups have the same name"
    for group in groups:
        if not 0 <= group["minReplicas"] <= group["maxReplicas"]:
            yield f"{group['groupName']} has impossible numbers of replicas"
        if group.get("suspend"):
            yield f"{group['groupName']} cannot be suspended with the autoscaler"
        if group.get("idleTimeoutSeconds", 0) < 0:
            yield f"{group['groupName']} has a negative idleTimeoutSeconds"
    # `idleTimeoutSeconds` of a group needs it.
    if not cluster["enableInTreeAutoscaling"] or cluster["autoscalerOptions"]["version"] != "v2":
        yield "autoscaler v2 is not configured"
    if cluster["autoscalerOptions"].get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds is negative"


def _head(cluster: Object) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    container = head["template"]["spec"]["containers"][0]
    misplaced = environment(container).keys() & {
        "RAY_enable_autoscaler_v2",
        "RAY_REDIS_ADDRESS",
        "REDIS_PASSWORD",
        "REDIS_USERNAME",
    }
    misplaced |= head["rayStartParams"].keys() & {"redis-password", "redis-username"}
    if misplaced:
        yield f"{sorted(misplaced)} belong to autoscalerOptions and gcsFaultToleranceOptions"
    if "name" in head.get("headService", {}).get("metadata", {}):
        yield "headService must not have a name"
    if [int(part) for part in cluster["rayVersion"].split(".")] < [2, 52]:
        yield "authOptions.mode token needs Ray 2.52"
    if not any(port["name"] == "serve" for port in container["ports"]):
        yield "no port of the head is called serve, so that there would be no Service"
