"""What happens to a request between its validation and its answer."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Final, Protocol

from serve_app.cache.codec import KeySpace
from serve_app.cache.score_cache import ScoreCache
from serve_app.dispatch.calls import Landed
from serve_app.dispatch.coalescer import SingleFlight
from serve_app.dispatch.wait_estimator import Backlog
from serve_app.errors import (
    DeadlineExceeded,
    InferenceFailed,
    ModelUnavailable,
    Overloaded,
    ServiceError,
)
from serve_app.gateway.admission import Demand
from serve_app.gateway.readiness import Readiness, SentimentService
from serve_app.model.store import ModelIdentity
from serve_app.scores import CallReply, Classification, KeyedTexts, StageTimes, TextLogits
from serve_app.settings import EngineName, GatewaySettings
from serve_app.telemetry.tracing import span

__all__ = ["Gateway", "SentimentService"]

PROBE_TEXT: Final = "ready?"
# Kubernetes gives its probes one second unless told otherwise, and asks every ten.
PROBE_WAIT_S: Final = 0.5
PROBE_LIFETIME_S: Final = 1.0
# A busy model may take longer than anybody waits for a probe, and then tells that it answers.
PROBE_TIMEOUT_S: Final = 5.0
LONGEST_SILENCE_S: Final = 15.0


class Classifier(Protocol):
    """The model's replicas as a gateway sees them."""

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        """Score texts, each with the size of its request, within so many seconds."""

    def replicas(self) -> int:
        """Return how many replicas run."""


class Gateway:
    """Deduplicates texts, looks them up, computes the others once, and remembers them.

    Args:
        model: The model that answers.
        engine: The engine that runs it.
        cache: Remembers texts.
        classifier: Scores what is not cached.
        settings: Tunables.

    Attributes:
        flights: The computations under way.
        backlog: The work that they are.
        demand: The work that is wanted.
        duplicates: How many texts were another time in their request, in all.
    """

    def __init__(
        self,
        model: ModelIdentity,
        engine: EngineName,
        cache: ScoreCache,
        classifier: Classifier,
        settings: GatewaySettings,
    ) -> None:
        self.model = model
        self.engine = engine
        self.settings = settings
        self._keys = KeySpace(model.digest, engine)
        self._cache = cache
        self._classifier = classifier
        self.duplicates = 0
        self.demand = Demand()
        self.backlog = Backlog(model.max_tokens)
        self.flights = SingleFlight(
            self._compute_chunk, self._remember, classifier.replicas, settings, self.backlog
        )
        self._writes: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[bool] | None = None
        self._probed_at = 0.0
        self._answered_at = -math.inf

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Apply new tunables without a restart."""
        self.settings = settings
        self.flights.settings = settings
        self._cache.reconfigure(settings)

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        """Score texts.

        Args:
            keyed: Any number of texts; duplicates are computed once.
            within_s: Seconds after which the answer is of no use.

        Raises:
            Overloaded: Too many texts wait for the model.
            DeadlineExceeded: No answer in time.
            ModelUnavailable: No replica of the model can answer.
            InferenceFailed: The model failed on one of the texts.
        """
        started = time.perf_counter()
        texts, keys = keyed
        self.duplicates += len(texts) - len(keys)
        with span("cache", texts=len(keys)):
            known = await self._cache.get_many(list(keys.values())) if keys else {}
        cache_s = time.perf_counter() - started
        wanted = {key: text for text, key in keys.items() if key not in known}
        landed = Landed({}, 0.0, 0.0)
        if wanted:
            self._admit(self.flights.absent(wanted))
            landed = await self._score(wanted, within_s - cache_s)
        hits = sum(keys[text] in known for text in texts)
        scores = known | _complete(landed.texts)
        return Classification(
            texts=[scores[keys[text]] for text in texts],
            hits=hits,
            misses=len(texts) - hits,
            times=StageTimes(cache_s * 1000, landed.queue_ms, landed.inference_ms),
        )

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Return the scores of texts at once if memory has all of them, else None."""
        started = time.perf_counter()
        texts, keys = keyed
        known = self._cache.recall(keys.values())
        if known is None:
            return None
        self.duplicates += len(texts) - len(keys)
        cache_ms = (time.perf_counter() - started) * 1000
        return Classification(
            texts=[known[keys[text]] for text in texts],
            hits=len(texts),
            misses=0,
            times=StageTimes(cache_ms, 0.0, 0.0),
        )

    async def readiness(self) -> Readiness:
        """Ask the cache for a sign of life, and the model for a prediction, if it gave none lately.

        Probes are shared and live for `PROBE_LIFETIME_S`, so that asking costs next to nothing. A
        model that is busy is ready as long as it has answered anything for `LONGEST_SILENCE_S`.
        """
        _, answers = await asyncio.gather(self._cache.probe(), self._model_answers())
        return Readiness("ok" if answers else "unavailable", self._cache.state)

    async def aclose(self) -> None:
        """Finish pending writes and close the cache."""
        await asyncio.gather(*self._writes)
        await self._cache.aclose()

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        """Return texts with the key of each distinct one."""
        return KeyedTexts(texts, {text: self._keys.key(text) for text in dict.fromkeys(texts)})

    def _admit(self, absent: Mapping[bytes, str]) -> None:
        """Refuse what could not be answered soon enough, where others wait already."""
        settings, in_flight = self.settings, self.flights.texts_in_flight
        if in_flight and (
            in_flight + len(absent) > settings.max_pending_texts
            or self.flights.waiting >= settings.max_pending_texts
            or (absent and self._outlasts(self.backlog.work(absent.values())))
        ):
            self.demand.refuse(absent)
            wait_s = self.backlog.wait_s(self._classifier.replicas())
            raise Overloaded(f"{in_flight} texts wait for the model", wait_s or 0.0)
        self.demand.admit(absent)

    def _outlasts(self, work: int) -> bool:
        """Tell whether this work and what waits already would take too long.

        It counts twice, so that a small request still finds room where a large one does not.
        Before any wait was measured, twice what the replicas are asked for at once is too long.
        """
        settings, replicas = self.settings, self._classifier.replicas()
        wait_s = self.backlog.wait_s(replicas, 2 * work)
        if wait_s is not None:
            return wait_s > settings.max_wait_s
        asked = settings.max_calls_per_replica * settings.chunk_chars * max(1, replicas)
        return self.backlog.pending + work > 2 * asked

    async def _score(self, wanted: Mapping[bytes, str], within_s: float) -> Landed:
        try:
            with span("model", texts=len(wanted)):
                async with asyncio.timeout(within_s):
                    return await self.flights.score(wanted)
        except TimeoutError:
            if not self._classifier.replicas():
                raise ModelUnavailable("no replica of the model is running") from None
            raise DeadlineExceeded("the model did not answer in time") from None

    async def _compute_chunk(self, texts: Sequence[str], sizes: Sequence[int]) -> CallReply:
        # A flight ends with its last passenger, who may have boarded as its first one left.
        reply = await self._classifier.classify(texts, 2 * self.settings.deadline_s, sizes)
        self._answered_at = time.monotonic()
        return reply

    def _remember(self, scores: Mapping[bytes, TextLogits]) -> None:
        write = asyncio.get_running_loop().create_task(self._cache.set_many(scores))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def _model_answers(self) -> bool:
        now = time.monotonic()
        if now - self._answered_at < PROBE_LIFETIME_S:
            return True
        if self._probe is None or (self._probe.done() and now - self._probed_at > PROBE_LIFETIME_S):
            self._probed_at = now
            # An empty context: the probe is not to be cancelled with the request that starts it.
            self._probe = asyncio.get_running_loop().create_task(
                self._ask_the_model(), context=Context()
            )
        try:
            async with asyncio.timeout(PROBE_WAIT_S):
                return await asyncio.shield(self._probe)
        except TimeoutError:
            return self._merely_busy()

    async def _ask_the_model(self) -> bool:
        try:
            reply = await self._classifier.classify([PROBE_TEXT], PROBE_TIMEOUT_S)
        except (Overloaded, DeadlineExceeded):
            return self._merely_busy()
        except ServiceError:
            self._answered_at = -math.inf
            return False
        self._answered_at = time.monotonic()
        return reply.texts[0] is not None

    def _merely_busy(self) -> bool:
        silent_s = time.monotonic() - self._answered_at
        return self._classifier.replicas() > 0 and silent_s < LONGEST_SILENCE_S


def _complete(texts: Mapping[bytes, TextLogits | None]) -> dict[bytes, TextLogits]:
    complete = {key: text for key, text in texts.items() if text is not None}
    if len(complete) < len(texts):
        raise InferenceFailed("the model could not score a text of this request")
    return complete
