"""Readiness: checks that the model answers, and tells the state of the cache."""

import asyncio
import math
import time
from contextvars import Context
from typing import Final, Literal, NamedTuple

from serve_app.dispatch.dispatcher import ClassifierReplicas, Dispatcher
from serve_app.errors import DeadlineExceeded, Overloaded, ServiceError

PROBE_TEXT: Final = "ready?"
# Kubernetes gives its probes one second unless told otherwise, and asks every ten.
PROBE_WAIT_S: Final = 0.5
PROBE_LIFETIME_S: Final = 1.0
# A busy model may take longer than a caller waits for a probe, and its late answer counts too.
PROBE_TIMEOUT_S: Final = 5.0
MAX_SILENCE_S: Final = 15.0


class Readiness(NamedTuple):
    """State of the parts that a prediction needs; without a `degraded` cache it is only slower.

    `cache_problem` has words for the cause of a `degraded` cache.
    """

    model: Literal["ok", "unavailable"]
    cache: Literal["ok", "degraded", "off"]
    cache_problem: str = ""


class ModelProbe:
    """A test prediction, made if the model has not answered lately.

    Probes are shared and live for `PROBE_LIFETIME_S`, so that they cost next to nothing. A model
    that is busy is ready as long as it has answered anything for `MAX_SILENCE_S`.
    """

    def __init__(self, classifier: ClassifierReplicas, dispatcher: Dispatcher) -> None:
        self._classifier = classifier
        self._dispatcher = dispatcher
        self._probe: asyncio.Task[bool] | None = None
        self._started_at = self._answered_at = self._failed_at = -math.inf

    async def model_answers(self) -> bool:
        """Return whether a prediction would succeed now."""
        if self._silent_s() < PROBE_LIFETIME_S:
            return True
        probe, age_s = self._probe, time.monotonic() - self._started_at
        if probe is None or (probe.done() and age_s > PROBE_LIFETIME_S):
            self._started_at = time.monotonic()
            # An empty context: the request that starts the probe does not cancel it.
            probe = asyncio.get_running_loop().create_task(self._ask(), context=Context())
            self._probe = probe
        try:
            async with asyncio.timeout(PROBE_WAIT_S):
                return await asyncio.shield(probe)
        except TimeoutError:
            return self._is_busy()

    async def _ask(self) -> bool:
        try:
            reply = await self._classifier.classify([PROBE_TEXT], PROBE_TIMEOUT_S)
        except (Overloaded, DeadlineExceeded):
            return self._is_busy()
        except ServiceError:
            self._failed_at = time.monotonic()
            return False
        self._answered_at = time.monotonic()
        return reply.logits[0] is not None

    def _is_busy(self) -> bool:
        return self._classifier.replicas() > 0 and self._silent_s() < MAX_SILENCE_S

    def _silent_s(self) -> float:
        """Return the seconds since the last answer; infinite if the model has failed since."""
        answered_at = max(self._answered_at, self._dispatcher.replied_at)
        return time.monotonic() - answered_at if answered_at > self._failed_at else math.inf
