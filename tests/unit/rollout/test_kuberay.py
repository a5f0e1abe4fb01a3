import copy
from collections.abc import Callable
from typing import Any

import pytest

from serve_app.rollout.kuberay import Impact, PodProblem, impact, pod_problems


def service() -> dict[str, Any]:
    pod: dict[str, Any] = {"spec": {"containers": [{"image": "a"}]}}
    return {
        "spec": {
            "serveConfigV2": "applications: []",
            "rayClusterConfig": {
                "headGroupSpec": {"template": copy.deepcopy(pod)},
                "workerGroupSpecs": [
                    {"groupName": "cpu", "minReplicas": 1, "maxReplicas": 2, "template": pod}
                ],
            },
        }
    }


def cluster(spec: dict[str, Any]) -> Any:
    return spec["rayClusterConfig"]


def worker(spec: dict[str, Any]) -> Any:
    return cluster(spec)["workerGroupSpecs"][0]


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], Impact]] = [
    (lambda spec: None, Impact.NOTHING),
    (lambda spec: spec.update(serveConfigV2="applications: [1]"), Impact.IN_PLACE),
    (lambda spec: spec.update(rayClusterDeletionDelaySeconds=180), Impact.IN_PLACE),
    (lambda spec: worker(spec).update(minReplicas=3, maxReplicas=9, replicas=3), Impact.IN_PLACE),
    (lambda spec: worker(spec)["template"]["spec"].update(tolerations=[{}]), Impact.IN_PLACE),
    (lambda spec: cluster(spec).update(upgradeStrategy={"type": "Recreate"}), Impact.IN_PLACE),
    (lambda spec: cluster(spec)["workerGroupSpecs"].append({"groupName": "b"}), Impact.IN_PLACE),
    (lambda spec: cluster(spec)["workerGroupSpecs"].insert(0, {}), Impact.NEW_CLUSTER),
    (lambda spec: cluster(spec)["workerGroupSpecs"].clear(), Impact.NEW_CLUSTER),
    (lambda spec: worker(spec).update(idleTimeoutSeconds=60), Impact.NEW_CLUSTER),
    (lambda spec: cluster(spec).update(rayVersion="2.61.0"), Impact.NEW_CLUSTER),
    (
        lambda spec: spec.update(
            rayClusterConfig=cluster(spec) | {"rayVersion": "2.61.0"},
            upgradeStrategy={"type": "None"},
        ),
        Impact.IGNORED,
    ),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_the_operators_rules_decide_what_a_change_leads_to(
    change: Callable[[dict[str, Any]], Any], expected: Impact
) -> None:
    before, after = service(), service()
    change(after["spec"])
    assert impact(before, after) is expected


def test_the_first_release_starts_a_cluster() -> None:
    assert impact(None, service()) is Impact.FIRST


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "ray", "state": state}


def test_an_orderly_start_is_not_a_problem() -> None:
    waiting = container(waiting={"reason": "PodInitializing"})
    ended = container(terminated={"exitCode": 0, "reason": "Completed"})
    pods = [
        pod("a", containerStatuses=[waiting], initContainerStatuses=[ended]),
        pod("b", containerStatuses=[container(running={})], conditions=None),
        {"metadata": {"name": "c"}},
    ]
    assert pod_problems(pods) == ()


def test_problems_of_pods_are_in_the_words_of_kubernetes_the_worst_first() -> None:
    pull = container(waiting={"reason": "ErrImagePull", "message": "not\nfound"})
    killed = container(terminated={"exitCode": 137, "reason": "OOMKilled"})
    room = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes"}
    pods = [
        pod("a", conditions=[room]),
        pod("b", initContainerStatuses=[pull]),
        pod("c", containerStatuses=[killed]),
    ]
    assert pod_problems(pods) == (
        PodProblem("pod b: ErrImagePull: not found"),
        PodProblem("pod c: OOMKilled, exit code 137"),
        PodProblem("pod a: Unschedulable: 0/3 nodes", may_wait=True),
    )
