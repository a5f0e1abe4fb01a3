"""What KubeRay 1.7 refuses after the API server has accepted it.

The controller reports these as the condition Ready=False, reason ValidationFailed. Ported from
ray-operator/controllers/ray/utils/validation.go, common/service.go and the webhook of RayCluster,
with the feature gates of a default installation.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.k8s.manifests import Object, environment

MAX_NAME: Final = 47
DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DURATION: Final = re.compile(r"(\d+(\.\d+)?(ns|us|ms|s|m|h))+")
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
UPGRADES: Final = {"None", "NewCluster", "NewClusterWithIncrementalUpgrade"}
AUTOSCALER_V2: Final = "RAY_enable_autoscaler_v2"


def violations(service: Object) -> Iterator[str]:
    """Yield what the controller refuses of a RayService."""
    spec = service["spec"]
    cluster = spec["rayClusterConfig"]
    annotations = service["metadata"].get("annotations", {})
    yield from _metadata(service["metadata"]["name"], annotations)
    yield from _upgrade(spec)
    yield from _containers(cluster)
    if all(group["template"]["spec"].get("containers") for group in _groups(cluster)):
        yield from _workers(cluster)
        yield from _autoscaler(cluster)
        yield from _fault_tolerance(cluster, annotations)
        yield from _authentication(cluster)
        yield from _gated(cluster)
        yield from _serve_port(spec)


def _groups(cluster: Object) -> list[Object]:
    return [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])]


def _environment(group: Object) -> dict[str, Object]:
    return environment(group["template"]["spec"]["containers"][0])


def _is_v2(cluster: Object) -> bool:
    return bool(cluster.get("autoscalerOptions", {}).get("version") == "v2")


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return tuple(map(int, parts)) if len(parts) > 1 and all(map(str.isdigit, parts)) else None


def _metadata(name: str, annotations: dict[str, str]) -> Iterator[str]:
    if len(name) > MAX_NAME:
        yield f"the name has more than {MAX_NAME} characters"
    if not DNS_1035.fullmatch(name):
        yield "the name is no DNS-1035 label"
    timeout = annotations.get("ray.io/initializing-timeout", "1s")
    if not (DURATION.fullmatch(timeout) or timeout.isdigit()) or not re.search("[1-9]", timeout):
        yield "ray.io/initializing-timeout is no positive duration"


def _upgrade(spec: Object) -> Iterator[str]:
    strategy = spec.get("upgradeStrategy", {})
    kind = strategy.get("type", "NewCluster")
    if kind not in UPGRADES:
        yield f"upgradeStrategy.type {kind} is unknown"
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        yield "rayClusterDeletionDelaySeconds is negative"
    if spec["rayClusterConfig"].get("upgradeStrategy", {}).get("type"):
        yield "rayClusterConfig.upgradeStrategy does not belong into a RayService"
    if kind == "NewClusterWithIncrementalUpgrade":
        yield from _incremental(spec, strategy.get("clusterUpgradeOptions"))


def _incremental(spec: Object, options: Object | None) -> Iterator[str]:
    if not spec["rayClusterConfig"].get("enableInTreeAutoscaling"):
        yield "an incremental upgrade needs the autoscaler"
    if options is None:
        yield "an incremental upgrade needs clusterUpgradeOptions"
        return
    surge, step = options.get("maxSurgePercent", 100), options.get("stepSizePercent", -1)
    if not 0 <= surge <= 100:
        yield "maxSurgePercent is no percentage"
    if not 0 <= step <= 100 or step > surge:
        yield "stepSizePercent is no percentage of at most maxSurgePercent"
    if options.get("intervalSeconds", 0) <= 0:
        yield "intervalSeconds is not positive"
    if not options.get("gatewayClassName"):
        yield "gatewayClassName is missing"


def _containers(cluster: Object) -> Iterator[str]:
    for group in _groups(cluster):
        name = group.get("groupName", "head")
        if not group["template"]["spec"].get("containers"):
            yield f"{name} has no container"
        parameters = group.get("rayStartParams", {})
        sized = {"num-cpus", "num-gpus", "memory", "resources"} & set(parameters)
        if sized and group.get("resources"):
            yield f"{name} has its resources in rayStartParams and in resources"
        if "labels" in parameters:
            yield f"{name} has labels in rayStartParams"
        for key, value in group.get("labels", {}).items():
            if not LABEL_VALUE.fullmatch(value) or not LABEL_VALUE.fullmatch(key.split("/")[-1]):
                yield f"{name} has an impossible label {key}"
    if cluster["headGroupSpec"].get("headService", {}).get("metadata", {}).get("name"):
        yield "headService must not have a name"


def _workers(cluster: Object) -> Iterator[str]:
    autoscaled = cluster.get("enableInTreeAutoscaling", False)
    groups = cluster.get("workerGroupSpecs", [])
    names = Counter(group["groupName"] for group in groups)
    for name, count in names.items():
        if count > 1:
            yield f"two worker groups are called {name}"
    for group in groups:
        name, least, most = group["groupName"], group.get("minReplicas"), group.get("maxReplicas")
        if not autoscaled and (least is None or most is None):
            yield f"{name} needs minReplicas and maxReplicas"
        if min(least or 0, most or 0) < 0:
            yield f"{name} has a negative number of replicas"
        if least is not None and most is not None and least > most:
            yield f"{name} has minReplicas above maxReplicas"
        if autoscaled and group.get("suspend"):
            yield f"{name} cannot be suspended with the autoscaler"
        if "idleTimeoutSeconds" in group and not _is_v2(cluster):
            yield f"{name} has idleTimeoutSeconds without autoscaler v2"
        if group.get("idleTimeoutSeconds", 0) < 0:
            yield f"{name} has a negative idleTimeoutSeconds"
        version = _version(cluster.get("rayVersion", "")) or (0,)
        if group.get("priority") and (not _is_v2(cluster) or version < (2, 56)):
            yield f"{name} has a priority, which needs autoscaler v2 and Ray 2.56"


def _autoscaler(cluster: Object) -> Iterator[str]:
    options = cluster.get("autoscalerOptions", {})
    variable = _environment(cluster["headGroupSpec"]).get(AUTOSCALER_V2)
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds is negative"
    if "KUBERAY_GEN_AUTOSCALER_START_CMD" in environment(options):
        yield "KUBERAY_GEN_AUTOSCALER_START_CMD is KubeRay's own"
    if not cluster.get("enableInTreeAutoscaling"):
        if variable and variable.get("value") in {"1", "true"}:
            yield f"{AUTOSCALER_V2} without enableInTreeAutoscaling"
        return
    if "version" in options and variable:
        yield f"both autoscalerOptions.version and {AUTOSCALER_V2} are set"
    for group in _groups(cluster):
        policy = group["template"]["spec"].get("restartPolicy", "Never")
        if _is_v2(cluster) and policy != "Never":
            yield f"{group.get('groupName', 'head')} has restartPolicy {policy} with autoscaler v2"


def _fault_tolerance(cluster: Object, annotations: dict[str, str]) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    parameters, variables = head.get("rayStartParams", {}), _environment(head)
    options = cluster.get("gcsFaultToleranceOptions")
    if "redis-username" in parameters or "REDIS_USERNAME" in variables:
        yield "the name of a Redis user belongs into gcsFaultToleranceOptions"
    if options is None:
        if "RAY_REDIS_ADDRESS" in variables:
            yield "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions"
        return
    for annotation in ("ray.io/ft-enabled", "ray.io/external-storage-namespace"):
        if annotations.get(annotation):
            yield f"{annotation} beside gcsFaultToleranceOptions"
    if "redis-password" in parameters:
        yield "redis-password belongs into gcsFaultToleranceOptions"
    for variable in ("REDIS_PASSWORD", "RAY_REDIS_ADDRESS"):
        if variable in variables:
            yield f"{variable} belongs into gcsFaultToleranceOptions"
    if options.get("backend", "redis") == "rocksdb":
        yield "the backend rocksdb needs a feature gate"
    elif "storage" in options:
        yield "storage is for the backend rocksdb"


def _authentication(cluster: Object) -> Iterator[str]:
    options = cluster.get("authOptions", {})
    if options.get("enableK8sTokenAuth"):
        yield "enableK8sTokenAuth is not for a RayService"
    version = _version(cluster.get("rayVersion", ""))
    if options.get("mode") == "token" and (version is None or version < (2, 52)):
        yield "tokens need rayVersion 2.52.0 or later"


def _gated(cluster: Object) -> Iterator[str]:
    for field in ("networkPolicy", "tlsOptions", "historyServerOptions"):
        if field in cluster:
            yield f"{field} needs a feature gate"


def _serve_port(spec: Object) -> Iterator[str]:
    head = spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    names = [port.get("name", "") for port in head.get("ports", [])]
    found = any(name == "serve" or name.startswith("serve-") for name in names)
    if names and not found and not spec.get("serveService"):
        yield "no port of the head is called serve, so there will be no Service"
