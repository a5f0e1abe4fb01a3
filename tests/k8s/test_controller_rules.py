from collections.abc import Callable

import pytest

from tests.k8s.conftest import Render
from tests.k8s.controller_rules import AUTOSCALER_V2, violations
from tests.k8s.manifests import Object, ray_service

Break = Callable[[Object, Object], None]


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_controller_accepts_the_service(overlay: str, rendered: Render) -> None:
    assert list(violations(ray_service(rendered(overlay)))) == []


def change(path: str, value: object) -> Break:
    """Return a function that sets what lies at a path under the RayService."""

    def apply(service: Object, _: Object) -> None:
        *parents, last = path.split(".")
        node = service
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[last] = value

    return apply


def remove(path: str) -> Break:
    def apply(service: Object, _: Object) -> None:
        *parents, last = path.split(".")
        node = service
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node[key]
        del node[last]

    return apply


def add_to_head(name: str, value: str = "true") -> Break:
    def apply(_: Object, cluster: Object) -> None:
        container = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
        container["env"].append({"name": name, "value": value})

    return apply


def both(first: Break, second: Break) -> Break:
    def apply(service: Object, cluster: Object) -> None:
        first(service, cluster)
        second(service, cluster)

    return apply


def twice_the_group(_: Object, cluster: Object) -> None:
    cluster["workerGroupSpecs"] *= 2


CLUSTER = "spec.rayClusterConfig"
HEAD = f"{CLUSTER}.headGroupSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs.0"
INCREMENTAL = change("spec.upgradeStrategy.type", "NewClusterWithIncrementalUpgrade")
OPTIONS = {"stepSizePercent": 10, "intervalSeconds": 5, "gatewayClassName": "approuting-istio"}


def incremental(**options: object) -> Break:
    return both(
        INCREMENTAL, change("spec.upgradeStrategy.clusterUpgradeOptions", OPTIONS | options)
    )


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change("metadata.name", "s" * 48), "more than 47"),
        (change("metadata.name", "5entiment"), "DNS-1035"),
        (change("metadata.annotations", {"ray.io/initializing-timeout": "0s"}), "initializing"),
        (change("metadata.annotations", {"ray.io/initializing-timeout": "soon"}), "initializing"),
        (change("spec.upgradeStrategy.type", "BlueGreen"), "is unknown"),
        (change("spec.rayClusterDeletionDelaySeconds", -1), "DeletionDelaySeconds"),
        (change(f"{CLUSTER}.upgradeStrategy", {"type": "Recreate"}), "does not belong"),
        (INCREMENTAL, "clusterUpgradeOptions"),
        (both(incremental(), change(f"{CLUSTER}.enableInTreeAutoscaling", False)), "autoscaler"),
        (incremental(maxSurgePercent=101), "maxSurgePercent"),
        (incremental(stepSizePercent=101), "stepSizePercent"),
        (incremental(stepSizePercent=60, maxSurgePercent=50), "stepSizePercent"),
        (incremental(intervalSeconds=0), "intervalSeconds"),
        (incremental(gatewayClassName=""), "gatewayClassName"),
        (change(f"{HEAD}.template.spec.containers", []), "head has no container"),
        (change(f"{GROUP}.template.spec.containers", []), "cpu has no container"),
        (change(f"{GROUP}.resources", {"CPU": "6"}), "in rayStartParams and in resources"),
        (change(f"{HEAD}.rayStartParams.labels", "a=b"), "labels in rayStartParams"),
        (change(f"{GROUP}.labels", {"pool": "-"}), "impossible label"),
        (change(f"{HEAD}.headService.metadata.name", "mine"), "headService"),
        (twice_the_group, "two worker groups"),
        (
            both(
                remove(f"{GROUP}.minReplicas"), change(f"{CLUSTER}.enableInTreeAutoscaling", False)
            ),
            "needs minReplicas",
        ),
        (change(f"{GROUP}.minReplicas", -1), "negative number"),
        (change(f"{GROUP}.minReplicas", 9), "above maxReplicas"),
        (change(f"{GROUP}.suspend", True), "suspended"),
        (remove(f"{CLUSTER}.autoscalerOptions.version"), "without autoscaler v2"),
        (change(f"{GROUP}.idleTimeoutSeconds", -1), "negative idleTimeoutSeconds"),
        (
            both(change(f"{GROUP}.priority", 1), change(f"{CLUSTER}.rayVersion", "2.55.0")),
            "priority",
        ),
        (change(f"{CLUSTER}.autoscalerOptions.idleTimeoutSeconds", -1), "is negative"),
        (
            change(
                f"{CLUSTER}.autoscalerOptions.env", [{"name": "KUBERAY_GEN_AUTOSCALER_START_CMD"}]
            ),
            "KubeRay's own",
        ),
        (add_to_head(AUTOSCALER_V2), "both autoscalerOptions.version"),
        (
            both(add_to_head(AUTOSCALER_V2), change(f"{CLUSTER}.enableInTreeAutoscaling", False)),
            "without enableInTreeAutoscaling",
        ),
        (change(f"{GROUP}.template.spec.restartPolicy", "Always"), "restartPolicy"),
        (change(f"{HEAD}.template.spec.restartPolicy", "OnFailure"), "restartPolicy"),
        (add_to_head("REDIS_USERNAME"), "Redis user"),
        (
            both(add_to_head("RAY_REDIS_ADDRESS"), remove(f"{CLUSTER}.gcsFaultToleranceOptions")),
            "without gcsFaultToleranceOptions",
        ),
        (change("metadata.annotations", {"ray.io/ft-enabled": "true"}), "ft-enabled"),
        (
            change("metadata.annotations", {"ray.io/external-storage-namespace": "x"}),
            "external-storage-namespace",
        ),
        (change(f"{HEAD}.rayStartParams.redis-password", "x"), "redis-password"),
        (add_to_head("REDIS_PASSWORD"), "REDIS_PASSWORD"),
        (add_to_head("RAY_REDIS_ADDRESS"), "RAY_REDIS_ADDRESS"),
        (change(f"{CLUSTER}.gcsFaultToleranceOptions.backend", "rocksdb"), "feature gate"),
        (change(f"{CLUSTER}.gcsFaultToleranceOptions.storage", {}), "storage"),
        (change(f"{CLUSTER}.authOptions.enableK8sTokenAuth", True), "enableK8sTokenAuth"),
        (change(f"{CLUSTER}.rayVersion", "2.51.9"), "2.52.0"),
        (change(f"{CLUSTER}.rayVersion", "nightly"), "2.52.0"),
        (change(f"{CLUSTER}.networkPolicy", {"mode": "DenyAll"}), "networkPolicy"),
        (change(f"{CLUSTER}.tlsOptions", {"enabled": True}), "tlsOptions"),
        (change(f"{HEAD}.template.spec.containers.0.ports", [{"name": "http"}]), "no Service"),
    ],
)
def test_the_controller_refuses(break_it: Break, message: str, rendered: Render) -> None:
    service = ray_service(rendered("prod"))
    break_it(service, service["spec"]["rayClusterConfig"])
    found = list(violations(service))
    assert any(message in each for each in found), found
