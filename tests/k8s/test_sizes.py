import pytest

from tests.k8s.conftest import Render
from tests.k8s.manifests import ROOT, deployments, replicas, worker_groups
from tests.k8s.mutations import (
    Mutation,
    change,
    group,
    in_serve_config,
    service,
    the,
    variable,
    worker,
    worker_pod,
)
from tests.k8s.sizes import DRAIN, logical_cpus, violations

BUDGET = the("PodDisruptionBudget", "sentiment-ray-worker")
TIMEOUTS = "spec.rules.0.timeouts"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_numbers_fit(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


def test_two_pods_serve_even_without_load(rendered: Render) -> None:
    for name in ("Gateway", "Classifier"):
        (each,) = [each for each in deployments(rendered("prod")) if each["name"] == name]
        assert replicas(each)[0] > each["max_replicas_per_node"]


def test_the_readme_tells_the_sizes(rendered: Render) -> None:
    objects = rendered("prod")
    (workers,) = worker_groups(objects)
    bounds = {each["name"]: replicas(each) for each in deployments(objects)}
    (least_g, most_g), (least_c, most_c) = bounds["Gateway"], bounds["Classifier"]
    pods, cpus = workers["maxReplicas"], int(logical_cpus(workers))
    readme = (ROOT / "kuberay" / "README.md").read_text()
    for fact in (
        f"{most_g} gateways, {most_c} classifiers",
        f"{pods} of {cpus} CPUs are {pods * cpus}",
        f"`minReplicas` | {workers['minReplicas']} |",
        f"| {least_g} and {least_c} |",
    ):
        assert fact in readme


@pytest.mark.parametrize(
    ("parameters", "resources", "expected"),
    [
        ({"num-cpus": "6"}, {"limits": {"cpu": "7"}}, 6),
        ({}, {"limits": {"cpu": "7"}, "requests": {"cpu": "4"}}, 7),
        ({}, {"requests": {"cpu": "500m"}}, 1),
    ],
)
def test_ray_counts_cpus(
    parameters: dict[str, str], resources: dict[str, object], expected: float
) -> None:
    container = {"resources": resources}
    template = {"spec": {"containers": [container]}}
    assert logical_cpus({"rayStartParams": parameters, "template": template}) == expected


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (change(worker, "resources.requests.cpu", "4"), "as if they were"),
        (change(service, "rayClusterConfig.headGroupSpec.rayStartParams", {}), "on the head"),
        (change(group, "maxReplicas", 7), "need 48 CPUs, maxReplicas"),
        (in_serve_config("max_replicas: 32", "max_replicas: 33"), "need 49 CPUs, maxReplicas"),
        (change(group, "minReplicas", 1), "need 8 CPUs, minReplicas"),
        (in_serve_config("per_node: 2", "per_node: 1"), "Gateway cannot reach"),
        (in_serve_config("per_node: 4", "per_node: 5"), "fills 7 of 6"),
        (change(BUDGET, "spec.minAvailable", "50%"), "a number"),
        (change(BUDGET, "spec", {"maxUnavailable": 1}), "a number"),
        (change(BUDGET, "spec.minAvailable", 2), "hold up"),
        (variable(worker, DRAIN, "40"), "replicas drain for"),
        (in_serve_config("timeout_s: 40", "timeout_s: 95"), "replicas drain for"),
        (change(worker_pod, "terminationGracePeriodSeconds", 100), "before it has drained"),
        (change(worker, "lifecycle.preStop.sleep.seconds", 60), "before it has drained"),
        (in_serve_config("user_config: {}", "user_config: {deadline_s: 61}"), "HAProxy gives up"),
        (variable(worker, "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S", "66"), "a try of the route"),
        (change(the("HTTPRoute", "sentiment"), f"{TIMEOUTS}.request", "60s"), "the route gives up"),
        (change(service, "rayClusterDeletionDelaySeconds", 60), "the old cluster gives up"),
    ],
)
def test_a_number_that_does_not_fit_is_found(
    break_it: Mutation, message: str, rendered: Render
) -> None:
    objects = rendered("prod")
    break_it(objects)
    found = list(violations(objects))
    assert any(message in each for each in found), found
