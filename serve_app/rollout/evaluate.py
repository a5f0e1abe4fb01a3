"""Whether a rollout is done, goes on or has failed, by what is seen of it.

`Ready` does not tell: it stays true while the old cluster serves, whatever becomes of the new one.
The order of what does tell is that of KubeRay 1.7.0's `Reconcile` in `rayservice_controller.go`:

- A specification that fails validation is answered with Ready=False, reason ValidationFailed, in a
  write of its own that leaves `observedGeneration` behind.
- The write that advances `observedGeneration` also names the pending cluster, if there is to be
  one, and sets UpgradeInProgress. It does not happen while the operator cannot reach the head.
- A changed Serve configuration is submitted after the statuses were read, so that the same write
  still reports those from before.
- The pending cluster becomes the active one in the write that ends UpgradeInProgress; its
  endpoints may follow later.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from serve_app.errors import ConnectionLost, RolloutRefused
from serve_app.rollout.manifest import Document
from serve_app.rollout.status import Condition, ServiceState, one_line

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


_UNAUTHORIZED: Final = (401, 403)
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
# Webhooks refuse with 400, 403 or whatever status they choose, but always in these words.
_WEBHOOK: Final = "admission webhook"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's errors into the tool's own.

    Args:
        what: What the requests within are about.

    Raises:
        RolloutRefused: The API server refuses it.
        ConnectionLost: It does not answer, or is overloaded.
    """
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - an extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except ApiException as error:
        message = _message(error)
        if error.status == _CONFLICT:
            raise RolloutRefused(
                f"{what}: {message}", "--force-conflicts takes these fields over"
            ) from None
        if error.status in _UNAUTHORIZED and _WEBHOOK not in message:
            raise RolloutRefused(
                f"{what}: {message}", "check your role with `kubectl auth can-i --list`"
            ) from None
        if error.status == _TOO_MANY or error.status >= _SERVER_ERROR:
            raise ConnectionLost(f"{what}: the API server answers {message}") from None
        raise RolloutRefused(f"{what}: {message}", "nothing of it was applied") from None
    except (HTTPError, OSError) as error:
        raise ConnectionLost(f"the API server does not answer: {one_line(str(error))}") from None


def _message(error: Any) -> str:
    """Return what the API server says, which is the `message` of a Status."""
    return one_line(str(json_object(error.body).get("message", f"{error.status} {error.reason}")))


def json_object(body: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one where the body is none."""
    try:
        content = json.loads(body)
    except (ValueError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


class Goal(NamedTuple):
    """What was applied.

    Attributes:
        generation: The RayService's generation after that.
        resource_version: Its resource version after that.
        submitted_after: When Serve had last been given a configuration before a change in place,
            in its own time; None where that is not known or does not matter.
    """

    generation: int
    resource_version: str
    submitted_after: float | None = None


class Sight(NamedTuple):
    """What one look at the API server shows.

    Attributes:
        at: When, in seconds on a steady clock.
        service: The RayService; None if it is gone.
        troubles: What keeps pods of the newest cluster from running.
        warnings: What the operator has complained of since the goal was applied, newest last.
        submitted: When Serve was last given a configuration; None where that is not known.
    """

    at: float
    service: ServiceState | None
    troubles: tuple[Trouble, ...] = ()
    warnings: tuple[str, ...] = ()
    submitted: float | None = None


class Working(NamedTuple):
    """The rollout goes on; `text` tells how far it is."""

    text: str


class Done(NamedTuple):
    """The rollout has reached its goal; `text` tells what serves."""

    text: str


class Failed(NamedTuple):
    """The rollout will not reach its goal.

    Attributes:
        text: Why, in one line.
        hint: What to do next.
        refused: Whether the operator did not even begin.
    """

    text: str
    hint: str = ""
    refused: bool = False


Verdict = Working | Done | Failed


@dataclass
class Judge:
    """Decides about one rollout from one sight after the other.

    Args:
        goal: What was applied.
        settle_s: For how long success, or a failed application, has to hold: the operator's
            statuses may be those from before a change in place, and it looks every two seconds.
        patience_s: For how long what Kubernetes tries again, such as pulling an image, may fail.
    """

    goal: Goal
    settle_s: float
    patience_s: float
    _since: dict[str, float] = field(default_factory=dict)
    _done_since: float | None = None
    _pending: str = ""

    def look(self, sight: Sight) -> Verdict:
        """Decide by what is seen now and what was seen before."""
        service = sight.service
        if service is None:
            return Failed("the RayService was deleted meanwhile")
        if service.metadata.generation > self.goal.generation:
            return Failed(
                "somebody else has changed the RayService meanwhile",
                "see `sentiment rollout status`",
            )
        if failure := self._refused(service) or self._lasting(sight, service):
            return failure
        if not service.observed:
            last = f": {sight.warnings[-1]}" if sight.warnings else ""
            return Working(f"waiting for the operator to take up the change{last}")
        return self._progress(sight, service)

    def _refused(self, service: ServiceState) -> Failed | None:
        ready = service.condition("Ready") or Condition(type="Ready", status="Unknown")
        written = service.metadata.resource_version != self.goal.resource_version
        if ready.reason == "ValidationFailed" and ready.status == "False" and written:
            return Failed(f"the operator refuses it: {ready.message}", refused=True)
        if ready.reason == "InitializingTimeout" and ready.status == "False":
            return Failed(
                ready.message, "this is final: delete the RayService and apply it once more"
            )
        for condition in ("Suspending", "Suspended"):
            if service.holds(condition):
                return Failed("the RayService is suspended", "set spec.suspend to false")
        return None

    def _lasting(self, sight: Sight, service: ServiceState) -> Failed | None:
        """Return the failure that has been there for too long."""
        newest = service.pending if service.pending.name else service.active
        present: dict[str, tuple[float, Failed]] = {}
        if broken := [trouble.text for trouble in sight.troubles if not trouble.may_wait]:
            present[f"pods of {newest.name}"] = (self.patience_s, Failed(broken[0]))
        if not service.observed and sight.warnings:
            text = f"the operator cannot carry it out: {sight.warnings[-1]}"
            present["warnings"] = (self.patience_s, Failed(text))
        if service.observed:
            for name, application in newest.applications.items():
                text = f"application {name} is {application.status}: {application.reason}"
                if application.status == "DEPLOY_FAILED":
                    present[f"application {name}"] = (self.settle_s, Failed(text))
                elif application.status == "UNHEALTHY":
                    present[f"application {name}"] = (self.patience_s, Failed(text))
        self._since = {what: self._since.get(what, sight.at) for what in present}
        for what, (limit, failure) in present.items():
            if sight.at - self._since[what] >= limit:
                return failure
        return None

    def _progress(self, sight: Sight, service: ServiceState) -> Verdict:
        done_since, self._done_since = self._done_since, None
        trouble = f" ({sight.troubles[0].text})" if sight.troubles else ""
        if service.pending.name:
            self._pending = service.pending.name
            beside = f"; {service.active.name} serves meanwhile" if service.active.name else ""
            return Working(
                f"new cluster {service.pending.name}: {service.pending}{trouble}{beside}"
            )
        if self._pending and service.active.name != self._pending:
            return Failed(f"the operator went back to cluster {service.active.name}")
        if service.upgrading or not service.serves:
            return Working(
                f"cluster {service.active.name or 'not named yet'}: {service.active}{trouble}, "
                f"{service.status.num_serve_endpoints} endpoints"
            )
        if not self._submitted(sight):
            return Working("waiting for the operator to submit the Serve configuration")
        self._done_since = sight.at if done_since is None else done_since
        state = (
            f"cluster {service.active.name} serves: {service.active}, "
            f"{service.status.num_serve_endpoints} endpoints"
        )
        if sight.at - self._done_since < self.settle_s:
            return Working(f"{state}; watching that it stays so")
        return Done(state)

    def _submitted(self, sight: Sight) -> bool:
        before = self.goal.submitted_after
        return before is None or sight.submitted is None or sight.submitted > before
