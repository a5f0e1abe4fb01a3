"""Follows a rollout until it is done or has failed."""

import json
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from serve_app.errors import (
    ConnectionLost,
    RolloutError,
    RolloutFailed,
    RolloutRefused,
    RolloutTimeout,
)
from serve_app.rollout import evaluate as pods
from serve_app.rollout import status
from serve_app.rollout.cluster import Api
from serve_app.rollout.evaluate import Done, Failed, Goal, Judge, Sight

Report = Callable[[str], None]

# The operator's Service for the head and its port for Serve's own API.
_HEAD: Final = "{name}-head-svc:8265"
_APPLICATIONS: Final = "/api/serve/applications/"
_OK: Final = 200


class Limits(NamedTuple):
    """How long to wait for what, in seconds.

    Attributes:
        timeout_s: For the whole rollout.
        settle_s: See `Judge`.
        patience_s: See `Judge`.
        lost_s: For an API server that does not answer.
        predict_s: For the first right prediction.
        poll_s: Between two looks.
    """

    timeout_s: float = 1800.0
    settle_s: float = 10.0
    patience_s: float = 90.0
    lost_s: float = 60.0
    predict_s: float = 30.0
    poll_s: float = 2.0


class Watch:
    """Looks at one RayService.

    Args:
        api: The API server.
        name: Of the RayService.
        namespace: Of the RayService.
    """

    def __init__(self, api: Api, name: str, namespace: str) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._old_warnings: dict[str, str] = {}

    def begin(self) -> None:
        """Leave what the operator has complained of so far out of account."""
        self._old_warnings = self._warnings_by_version()

    def submitted(self) -> float | None:
        """Return when Serve was last given a configuration; None if it cannot be asked.

        The head's API takes the token of its cluster from `$RAY_AUTH_TOKEN`; beside the API
        server's own, it travels in a header of Ray's.
        """
        token = os.environ.get("RAY_AUTH_TOKEN")
        try:
            answer = self._api.through_proxy(
                self._namespace,
                _HEAD.format(name=self._name),
                "GET",
                _APPLICATIONS,
                headers={"x-ray-authorization": f"Bearer {token}"} if token else None,
            )
        except RolloutError:
            return None
        if answer.status != _OK:
            return None
        applications = json.loads(answer.body)["applications"].values()
        return max((one["last_deployed_time_s"] for one in applications), default=0.0)

    def look(self, *, ask_serve: bool = False) -> Sight:
        """Look once.

        Args:
            ask_serve: Whether to ask Serve too, which takes a request to the head.

        Raises:
            ConnectionLost: The API server does not answer.
        """
        found = self._api.service(self._name, self._namespace)
        state = status.read(found) if found else None
        cluster = (state.pending.name or state.active.name) if state else ""
        return Sight(
            at=time.monotonic(),
            service=state,
            troubles=pods.troubles(self._pods(cluster)),
            warnings=self._new_warnings(),
            submitted=self.submitted() if ask_serve else None,
        )

    def until_done(self, goal: Goal, limits: Limits, report: Report) -> None:
        """Wait until the goal is reached.

        Args:
            goal: What was applied.
            limits: How long to wait.
            report: Told in a line whenever something has changed.

        Raises:
            RolloutRefused: The operator did not even begin.
            RolloutFailed: It will not be reached.
            RolloutTimeout: Neither was known in time.
            ConnectionLost: The API server did not answer for too long.
        """
        judge = Judge(goal, limits.settle_s, limits.patience_s)
        begun = answered = time.monotonic()
        last = ""
        while True:
            try:
                sight = self.look(ask_serve=goal.submitted_after is not None)
                answered = sight.at
                verdict = judge.look(sight)
                text = verdict.text
            except ConnectionLost as error:
                if time.monotonic() - answered >= limits.lost_s:
                    raise ConnectionLost(
                        f"{error.problem}; the rollout may still go on",
                        "`sentiment rollout status` tells",
                    ) from None
                verdict, text = None, f"{error.problem}; trying again"
            if isinstance(verdict, Failed):
                kind = RolloutRefused if verdict.refused else RolloutFailed
                raise kind(text, verdict.hint or "`sentiment rollout rollback` returns to before")
            if text != last:
                report(f"{time.monotonic() - begun:5.0f} s  {text}")
                last = text
            if isinstance(verdict, Done):
                return
            if time.monotonic() - begun >= limits.timeout_s:
                raise RolloutTimeout(
                    f"not done within {limits.timeout_s:.0f} s: {text}",
                    "it may still go on: `sentiment rollout status` tells",
                )
            time.sleep(limits.poll_s)

    def _pods(self, cluster: str) -> list[dict[str, object]]:
        try:
            return self._api.pods(cluster, self._namespace) if cluster else []
        except RolloutRefused:
            # Who may not see pods is told less, but can roll out.
            return []

    def _new_warnings(self) -> tuple[str, ...]:
        return tuple(
            text
            for text, version in self._warnings_by_version().items()
            if self._old_warnings.get(text) != version
        )

    def _warnings_by_version(self) -> dict[str, str]:
        try:
            events = self._api.warnings(self._name, self._namespace)
        except RolloutRefused:
            return {}
        events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        return {
            status.one_line(str(event.get("message") or event.get("reason"))): event["metadata"][
                "resourceVersion"
            ]
            for event in events
        }
