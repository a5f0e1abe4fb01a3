"""Whether the numbers fit each other: CPUs, replicas and times."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from serve_app.settings import GatewaySettings
from tests.k8s.manifests import (
    Object,
    cpus,
    deployments,
    environment,
    of_kind,
    pod_templates,
    ray_service,
    replica_cpus,
    replicas,
    seconds,
    worker_container,
    worker_groups,
)

# Time for a pod's processes to end once they have drained.
END_S: Final = 10
DRAIN: Final = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def violations(objects: Iterable[Object]) -> Iterator[str]:
    """Yield each pair of numbers that does not fit."""
    objects = list(objects)
    yield from _cpus(objects)
    yield from _budget(objects)
    yield from _drain(objects)
    yield from _timeouts(objects)


def logical_cpus(group: Object) -> float:
    """Return the CPUs that Ray counts on a pod: `num-cpus`, else the limit, else the request."""
    resources = group["template"]["spec"]["containers"][0]["resources"]
    physical = resources.get("limits", {}).get("cpu") or resources["requests"]["cpu"]
    return float(group["rayStartParams"].get("num-cpus") or math.ceil(cpus(physical)))


def _cpus(objects: list[Object]) -> Iterator[str]:
    (group,) = worker_groups(objects)
    pod = logical_cpus(group)
    requested = cpus(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    if pod > requested:
        yield f"replicas share {requested:g} CPUs as if they were {pod:g}"
    head = ray_service(objects)["spec"]["rayClusterConfig"]["headGroupSpec"]
    if head["rayStartParams"].get("num-cpus") != "0":
        yield "replicas would run on the head"
    for index, pods in enumerate(("minReplicas", "maxReplicas")):
        needed = sum(replicas(each)[index] * replica_cpus(each) for each in deployments(objects))
        if needed > group[pods] * pod:
            yield f"replicas need {needed:g} CPUs, {pods} has {group[pods] * pod:g}"
    together = 0.0
    for each in deployments(objects):
        if per_pod := each.get("max_replicas_per_node"):
            together += per_pod * replica_cpus(each)
            if per_pod * group["maxReplicas"] < replicas(each)[1]:
                yield f"{each['name']} cannot reach its maximum with max_replicas_per_node"
    if together > pod:
        yield f"max_replicas_per_node fills {together:g} of {pod:g} CPUs"


def _budget(objects: list[Object]) -> Iterator[str]:
    (group,) = worker_groups(objects)
    for budget in of_kind(objects, "PodDisruptionBudget"):
        available = budget["spec"].get("minAvailable")
        if not isinstance(available, int):
            yield "minAvailable is not a number, and Kubernetes cannot count the expected workers"
        elif available >= group["minReplicas"]:
            yield f"minAvailable {available} would hold up every upgrade of a node"


def _drain(objects: list[Object]) -> Iterator[str]:
    graceful = max(each.get("graceful_shutdown_timeout_s", 20) for each in deployments(objects))
    for place, template in pod_templates(objects):
        if not place.startswith("workers"):
            continue
        container = template["spec"]["containers"][0]
        drain = float(environment(container)[DRAIN]["value"])
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = template["spec"].get("terminationGracePeriodSeconds", 30)
        if drain <= graceful:
            yield f"{place}: replicas drain for {graceful:g} s, the node for {drain:g} s"
        if grace < hook + drain + END_S:
            yield f"{place}: ends after {grace} s, before it has drained"


def _timeouts(objects: list[Object]) -> Iterator[str]:
    variables = environment(worker_container(objects))
    proxy = float(variables["RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"]["value"])
    (gateway,) = [each for each in deployments(objects) if each["name"] == "Gateway"]
    steps = [("the application", GatewaySettings(**gateway["user_config"]).deadline_s)]
    steps.append(("HAProxy", proxy))
    for route in of_kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            timeouts = rule["timeouts"]
            steps.append(("a try of the route", seconds(timeouts["backendRequest"])))
            steps.append(("the route", seconds(timeouts["request"])))
    for route in of_kind(objects, "VirtualService"):
        for rule in route["spec"]["http"]:
            steps.append(("a try of the route", seconds(rule["retries"]["perTryTimeout"])))
            steps.append(("the route", seconds(rule["timeout"])))
    delay = ray_service(objects)["spec"]["rayClusterDeletionDelaySeconds"]
    steps.append(("the old cluster", delay))
    for (inner, inner_s), (outer, outer_s) in pairwise(steps):
        if inner_s >= outer_s:
            yield f"{outer} gives up after {outer_s:g} s, {inner} only after {inner_s:g} s"
