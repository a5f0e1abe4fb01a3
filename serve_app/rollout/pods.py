"""What keeps pods from running, in the words of Kubernetes."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from serve_app.rollout.manifest import Document
from serve_app.rollout.status import one_line

# Reasons of a waiting container that are no part of an orderly start.
_BROKEN: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


class Trouble(NamedTuple):
    """Why a pod does not run.

    Attributes:
        text: In one line.
        may_wait: Whether it is usual while the cluster makes room, by starting nodes for one.
    """

    text: str
    may_wait: bool = False


def troubles(pods: Sequence[Document]) -> tuple[Trouble, ...]:
    """Return what keeps these pods from running, the worst first."""
    found = [trouble for pod in pods for trouble in _of(pod)]
    return tuple(sorted(found, key=lambda trouble: trouble.may_wait))


def _of(pod: Document) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            state = container.get("state", {})
            waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
            if waiting.get("reason") in _BROKEN:
                yield Trouble(_text(name, waiting["reason"], waiting.get("message", "")))
            elif ended.get("exitCode"):
                reason = f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}"
                yield Trouble(_text(name, reason, ended.get("message", "")))
    for condition in status.get("conditions") or ():
        if condition.get("reason") == "Unschedulable":
            text = _text(name, "Unschedulable", condition.get("message", ""))
            yield Trouble(text, may_wait=True)


def _text(pod: str, reason: str, message: str) -> str:
    return one_line(f"pod {pod}: {reason}" + (f": {message}" if message else ""))
