from typing import Any

from serve_app.rollout.evaluate import Trouble, troubles


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "ray", "state": state}


def test_orderly_starts_are_no_trouble() -> None:
    waiting = container(waiting={"reason": "PodInitializing"})
    ended = container(terminated={"exitCode": 0, "reason": "Completed"})
    pods = [
        pod("a", containerStatuses=[waiting], initContainerStatuses=[ended]),
        pod("b", containerStatuses=[container(running={})], conditions=None),
        {"metadata": {"name": "c"}},
    ]
    assert troubles(pods) == ()


def test_troubles_are_told_in_the_words_of_kubernetes_the_worst_first() -> None:
    pull = container(waiting={"reason": "ErrImagePull", "message": "not\nfound"})
    killed = container(terminated={"exitCode": 137, "reason": "OOMKilled"})
    room = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes"}
    pods = [
        pod("a", conditions=[room]),
        pod("b", initContainerStatuses=[pull]),
        pod("c", containerStatuses=[killed]),
    ]
    assert troubles(pods) == (
        Trouble("pod b: ErrImagePull: not found"),
        Trouble("pod c: OOMKilled, exit code 137"),
        Trouble("pod a: Unschedulable: 0/3 nodes", may_wait=True),
    )
