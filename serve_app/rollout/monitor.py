"""Follows a rollout: evaluates snapshots of the cluster until it serves, then has it predict.

The condition `Ready` stays true while the old cluster serves, whatever becomes of the new one. The
evaluation relies on the order of KubeRay 1.7.0's `Reconcile` in `rayservice_controller.go`:

- A specification that fails validation gets Ready=False, reason ValidationFailed, in a write that
  does not advance `observedGeneration`.
- The write that advances it also names the pending cluster, if there is to be one, and sets
  UpgradeInProgress. It does not happen while the operator cannot reach the head.
- A changed Serve configuration is submitted after the statuses were read: the same write still
  reports the earlier ones.
- The pending cluster becomes active in the write that ends UpgradeInProgress; its endpoints may
  follow later.
"""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import urllib3

from serve_app import errors
from serve_app.client import SentimentError, StatusError
from serve_app.client.results import Reply, predictions, raise_for_status
from serve_app.rollout.cluster import Api
from serve_app.rollout.kuberay import PodProblem, ServiceState, pod_problems
from serve_app.rollout.manifest import Document

Progress = Callable[[str], None]

_ROLLBACK: Final = "`sentiment rollout rollback` returns to the revision before"
_PATH: Final = "/project/predict"
_BODY: Final[Any] = {"text": ["The rollout went well."]}
_PASS_KEY: Final = "pass the service's address as --url, and an API key as $SENTIMENT_API_KEY"
_PASS_URL: Final = (
    "a network policy may keep the API server from the pods: pass the service's address as --url"
)


class Limits(NamedTuple):
    """Time limits of a rollout, in seconds.

    Success, or a failed application, has to last for `settle_s`: after a change in place the
    statuses may be the earlier ones, and the operator reads them every two seconds. Failures that
    Kubernetes retries, such as pulling an image, may last for `patience_s`.
    """

    timeout_s: float = 1800.0
    settle_s: float = 10.0
    patience_s: float = 90.0
    lost_s: float = 60.0
    predict_s: float = 30.0
    poll_s: float = 2.0


class Goal(NamedTuple):
    """The RayService that was applied, by its generation and resource version after that.

    `earlier_warnings` are the `Api.warnings` before it was applied. `submitted_after` is when Serve
    had received its configuration before a change in place; None if that does not matter.
    """

    generation: int
    resource_version: str
    earlier_warnings: Mapping[str, str] = {}
    submitted_after: float | None = None


class Snapshot(NamedTuple):
    """The state of the cluster at a time of a monotonic clock; a RayService that is gone is None.

    The problems are of pods of the newest cluster, the warnings those since the goal was applied,
    newest last. `submitted` is when Serve last received a configuration; None if unknown.
    """

    at: float
    service: ServiceState | None
    problems: tuple[PodProblem, ...] = ()
    warnings: tuple[str, ...] = ()
    submitted: float | None = None


class Evaluator:
    """The state of one rollout over a series of snapshots; `complete` at the end."""

    def __init__(self, goal: Goal, limits: Limits) -> None:
        self.complete = False
        self._goal, self._limits = goal, limits
        self._failing_since: dict[str, float] = {}
        self._serving_since: float | None = None
        self._pending = ""

    def evaluate(self, snapshot: Snapshot) -> str:
        """Evaluate the next snapshot in the light of those before: the progress in one line.

        Raises `RolloutRefused` or `RolloutFailed` if the goal will not be reached.
        """
        service = snapshot.service
        if service is None:
            raise errors.RolloutFailed("the RayService was deleted during the rollout")
        if service.generation > self._goal.generation:
            problem = "somebody else has changed the RayService during the rollout"
            raise errors.RolloutFailed(problem, "see `sentiment rollout status`")
        ready = service.condition("Ready")
        written = service.resource_version != self._goal.resource_version
        if ready.reason == "ValidationFailed" and ready.status == "False" and written:
            raise errors.RolloutRefused(f"the operator refuses it: {ready.message}", _ROLLBACK)
        if ready.reason == "InitializingTimeout" and ready.status == "False":
            hint = "this is final: delete the RayService and apply it again"
            raise errors.RolloutFailed(ready.message, hint)
        if "True" in {service.condition(name).status for name in ("Suspending", "Suspended")}:
            raise errors.RolloutFailed("the RayService is suspended", "set spec.suspend to false")
        self._check_lasting_failures(snapshot, service)
        if not service.observed:
            last = f": {snapshot.warnings[-1]}" if snapshot.warnings else ""
            return f"waiting for the operator to take up the change{last}"
        return self._progress(snapshot, service)

    def _check_lasting_failures(self, snapshot: Snapshot, service: ServiceState) -> None:
        patience_s = self._limits.patience_s
        limits = {"DEPLOY_FAILED": self._limits.settle_s, "UNHEALTHY": patience_s}
        failures: dict[str, tuple[float, str]] = {}
        if broken := [problem.text for problem in snapshot.problems if not problem.may_wait]:
            failures[f"pods of {service.newest.name}"] = (patience_s, broken[0])
        if not service.observed and snapshot.warnings:
            text = f"the operator cannot apply the change: {snapshot.warnings[-1]}"
            failures["warnings"] = (patience_s, text)
        for name, application in service.newest.applications.items():
            if service.observed and application.status in limits:
                text = f"application {name} is {application.status}: {application.reason}"
                failures[f"application {name}"] = (limits[application.status], text)
        since = {what: self._failing_since.get(what, snapshot.at) for what in failures}
        self._failing_since = since
        for what, (limit_s, text) in failures.items():
            if snapshot.at - since[what] >= limit_s:
                raise errors.RolloutFailed(text, _ROLLBACK)

    def _progress(self, snapshot: Snapshot, service: ServiceState) -> str:
        serving_since, self._serving_since = self._serving_since, None
        active, pending = service.active, service.pending
        problem = f" ({snapshot.problems[0].text})" if snapshot.problems else ""
        if pending.name:
            self._pending = pending.name
            meanwhile = f"; {active.name} serves meanwhile" if active.name else ""
            return f"new cluster {pending.name}: {pending}{problem}{meanwhile}"
        if self._pending and active.name != self._pending:
            raise errors.RolloutFailed(
                f"the operator went back to cluster {active.name}", _ROLLBACK
            )
        endpoints = f"{service.endpoints} endpoints"
        if not service.serves:
            name = active.name or "not named yet"
            return f"cluster {name}: {active}{problem}, {endpoints}"
        before, submitted = self._goal.submitted_after, snapshot.submitted
        if before is not None and submitted is not None and submitted <= before:
            return "waiting for the operator to submit the Serve configuration"
        self._serving_since = snapshot.at if serving_since is None else serving_since
        text = f"cluster {active.name} serves: {active}, {endpoints}"
        if snapshot.at - self._serving_since < self._limits.settle_s:
            return f"{text}; watching that it stays so"
        self.complete = True
        return text


def take_snapshot(api: Api, goal: Goal, live: Document | None) -> Snapshot:
    """Take a snapshot; the goal says which warnings are new, and whether to ask Serve."""
    service = ServiceState.model_validate(live) if live else None
    cluster = service.newest.name if service else ""
    earlier = goal.earlier_warnings
    return Snapshot(
        at=time.monotonic(),
        service=service,
        problems=pod_problems(api.pods(cluster)) if cluster else (),
        warnings=tuple(text for text, seen in api.warnings().items() if earlier.get(text) != seen),
        submitted=api.config_submitted() if goal.submitted_after is not None else None,
    )


def wait(api: Api, goal: Goal, limits: Limits, progress: Progress) -> None:
    """Wait until the goal is reached, and report each change in a line of progress.

    Raises `RolloutRefused`, `RolloutFailed` or `RolloutTimeout` if it is not, and `ConnectionLost`
    if the API server does not answer for too long.
    """
    evaluator = Evaluator(goal, limits)
    begun = answered = time.monotonic()
    last = ""
    while True:
        try:
            snapshot = take_snapshot(api, goal, api.service())
            answered = snapshot.at
            text = evaluator.evaluate(snapshot)
        except errors.ConnectionLost as error:
            if time.monotonic() - answered >= limits.lost_s:
                problem = f"{error.problem}; the rollout may still go on"
                raise errors.ConnectionLost(problem, "see `sentiment rollout status`") from None
            text = f"{error.problem}; trying again"
        if text != last:
            progress(f"{time.monotonic() - begun:5.0f} s  {text}")
            last = text
        if evaluator.complete:
            return
        if time.monotonic() - begun >= limits.timeout_s:
            hint = "the rollout may still go on: see `sentiment rollout status`"
            raise errors.RolloutTimeout(f"not done within {limits.timeout_s:.0f} s: {last}", hint)
        time.sleep(limits.poll_s)


def predict(api: Api, url: str | None, api_key: str | None, within_s: float) -> str:
    """Request a prediction until the answer is one, and return which model has answered.

    Without a `url` the request goes through the API server, which keeps the `Authorization` header
    for itself, so that the service gets no API key. Endpoints may reach the routing tables of every
    node only after the operator has counted them: `PredictionFailed` is raised after `within_s`.
    """
    give_up = time.monotonic() + within_s
    while True:
        try:
            if url:
                reply = _through_url(url, api_key)
            else:
                reply = api.proxy("serve-svc:8000", _PATH, body=_BODY)
            predictions(raise_for_status(reply, ""), 1, "")
            model = reply.headers.get("X-Model-Id", "an unnamed model")
            revision = reply.headers.get("X-Model-Revision", "unknown")
            return f"a prediction was answered by {model}, revision {revision}"
        except errors.ConnectionLost as error:
            problem, hint = error.problem, _ROLLBACK if url else _PASS_URL
        except SentimentError as error:
            refused = isinstance(error, StatusError) and error.status == HTTPStatus.UNAUTHORIZED
            problem, hint = error.message, _PASS_KEY if refused else _ROLLBACK
        if time.monotonic() >= give_up:
            raise errors.PredictionFailed(
                f"the new version runs, but does not predict: {problem}", hint
            )
        time.sleep(1.0)


def _through_url(url: str, api_key: str | None) -> Reply:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    options: Any = {"json": _BODY, "headers": headers, "timeout": 10.0, "retries": False}
    try:
        answer = urllib3.request("POST", url.rstrip("/") + _PATH, **options)
    except urllib3.exceptions.HTTPError as error:
        raise errors.ConnectionLost(f"{url} does not answer: {error}") from None
    return Reply(answer.status, answer.headers, answer.data)
