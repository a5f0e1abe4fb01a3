import pytest

from tests.k8s.conftest import Render
from tests.k8s.controller_rules import AUTOSCALER_V2, violations
from tests.k8s.manifests import Object, ray_service
from tests.k8s.mutations import DELETE, Mutation, change, head, variable


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_controller_accepts_the_service(overlay: str, rendered: Render) -> None:
    assert list(violations(ray_service(rendered(overlay)))) == []


def set_to(path: str, value: object) -> Mutation:
    return change(ray_service, path, value)


def both(first: Mutation, second: Mutation) -> Mutation:
    def apply(objects: list[Object]) -> None:
        first(objects)
        second(objects)

    return apply


def twice_the_group(objects: list[Object]) -> None:
    ray_service(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"] *= 2


CLUSTER = "spec.rayClusterConfig"
HEAD = f"{CLUSTER}.headGroupSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs.0"
INCREMENTAL = set_to("spec.upgradeStrategy.type", "NewClusterWithIncrementalUpgrade")
OPTIONS = {"stepSizePercent": 10, "intervalSeconds": 5, "gatewayClassName": "approuting-istio"}


def incremental(**options: object) -> Mutation:
    return both(
        INCREMENTAL, set_to("spec.upgradeStrategy.clusterUpgradeOptions", OPTIONS | options)
    )


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (set_to("metadata.name", "s" * 48), "more than 47"),
        (set_to("metadata.name", "5entiment"), "DNS-1035"),
        (set_to("metadata.annotations", {"ray.io/initializing-timeout": "0s"}), "initializing"),
        (set_to("metadata.annotations", {"ray.io/initializing-timeout": "soon"}), "initializing"),
        (set_to("spec.upgradeStrategy.type", "BlueGreen"), "is unknown"),
        (set_to("spec.rayClusterDeletionDelaySeconds", -1), "DeletionDelaySeconds"),
        (set_to(f"{CLUSTER}.upgradeStrategy", {"type": "Recreate"}), "does not belong"),
        (INCREMENTAL, "clusterUpgradeOptions"),
        (both(incremental(), set_to(f"{CLUSTER}.enableInTreeAutoscaling", False)), "autoscaler"),
        (incremental(maxSurgePercent=101), "maxSurgePercent"),
        (incremental(stepSizePercent=101), "stepSizePercent"),
        (incremental(stepSizePercent=60, maxSurgePercent=50), "stepSizePercent"),
        (incremental(intervalSeconds=0), "intervalSeconds"),
        (incremental(gatewayClassName=""), "gatewayClassName"),
        (set_to(f"{HEAD}.template.spec.containers", []), "head has no container"),
        (set_to(f"{GROUP}.template.spec.containers", []), "cpu has no container"),
        (set_to(f"{GROUP}.resources", {"CPU": "6"}), "in rayStartParams and in resources"),
        (set_to(f"{HEAD}.rayStartParams.labels", "a=b"), "labels in rayStartParams"),
        (set_to(f"{GROUP}.labels", {"pool": "-"}), "impossible label"),
        (set_to(f"{HEAD}.headService.metadata.name", "mine"), "headService"),
        (twice_the_group, "two worker groups"),
        (
            both(
                set_to(f"{GROUP}.minReplicas", DELETE),
                set_to(f"{CLUSTER}.enableInTreeAutoscaling", False),
            ),
            "needs minReplicas",
        ),
        (set_to(f"{GROUP}.minReplicas", -1), "negative number"),
        (set_to(f"{GROUP}.minReplicas", 9), "above maxReplicas"),
        (set_to(f"{GROUP}.suspend", True), "suspended"),
        (set_to(f"{CLUSTER}.autoscalerOptions.version", DELETE), "without autoscaler v2"),
        (set_to(f"{GROUP}.idleTimeoutSeconds", -1), "negative idleTimeoutSeconds"),
        (
            both(set_to(f"{GROUP}.priority", 1), set_to(f"{CLUSTER}.rayVersion", "2.55.0")),
            "priority",
        ),
        (set_to(f"{CLUSTER}.autoscalerOptions.idleTimeoutSeconds", -1), "is negative"),
        (
            set_to(
                f"{CLUSTER}.autoscalerOptions.env", [{"name": "KUBERAY_GEN_AUTOSCALER_START_CMD"}]
            ),
            "KubeRay's own",
        ),
        (variable(head, AUTOSCALER_V2, "true"), "both autoscalerOptions.version"),
        (
            both(
                variable(head, AUTOSCALER_V2, "true"),
                set_to(f"{CLUSTER}.enableInTreeAutoscaling", False),
            ),
            "without enableInTreeAutoscaling",
        ),
        (set_to(f"{GROUP}.template.spec.restartPolicy", "Always"), "restartPolicy"),
        (set_to(f"{HEAD}.template.spec.restartPolicy", "OnFailure"), "restartPolicy"),
        (variable(head, "REDIS_USERNAME", "x"), "Redis user"),
        (
            both(
                variable(head, "RAY_REDIS_ADDRESS", "x"),
                set_to(f"{CLUSTER}.gcsFaultToleranceOptions", DELETE),
            ),
            "without gcsFaultToleranceOptions",
        ),
        (set_to("metadata.annotations", {"ray.io/ft-enabled": "true"}), "ft-enabled"),
        (
            set_to("metadata.annotations", {"ray.io/external-storage-namespace": "x"}),
            "external-storage-namespace",
        ),
        (set_to(f"{HEAD}.rayStartParams.redis-password", "x"), "redis-password"),
        (variable(head, "REDIS_PASSWORD", "x"), "REDIS_PASSWORD"),
        (variable(head, "RAY_REDIS_ADDRESS", "x"), "RAY_REDIS_ADDRESS"),
        (set_to(f"{CLUSTER}.gcsFaultToleranceOptions.backend", "rocksdb"), "feature gate"),
        (set_to(f"{CLUSTER}.gcsFaultToleranceOptions.storage", {}), "storage"),
        (set_to(f"{CLUSTER}.authOptions.enableK8sTokenAuth", True), "enableK8sTokenAuth"),
        (set_to(f"{CLUSTER}.rayVersion", "2.51.9"), "2.52.0"),
        (set_to(f"{CLUSTER}.rayVersion", "nightly"), "2.52.0"),
        (set_to(f"{CLUSTER}.networkPolicy", {"mode": "DenyAll"}), "networkPolicy"),
        (set_to(f"{CLUSTER}.tlsOptions", {"enabled": True}), "tlsOptions"),
        (set_to(f"{HEAD}.template.spec.containers.0.ports", [{"name": "http"}]), "no Service"),
    ],
)
def test_the_controller_refuses(break_it: Mutation, message: str, rendered: Render) -> None:
    objects = rendered("prod")
    break_it(objects)
    found = list(violations(ray_service(objects)))
    assert any(message in each for each in found), found
