"""The stages of a request between its validation and its answer."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from serve_app import errors
from serve_app.cache.score_cache import KeySpace, ScoreCache
from serve_app.dispatch.coalescer import Coalescer, ModelScores
from serve_app.dispatch.dispatcher import ClassifierReplicas, Dispatcher, WaitEstimator
from serve_app.gateway.admission import Admission
from serve_app.gateway.readiness import ModelProbe, Readiness
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, KeyedTexts, StageTimes, TextLogits
from serve_app.settings import EngineName, GatewaySettings
from serve_app.telemetry.tracing import span

_NO_SCORES: Final = ModelScores({}, 0.0, 0.0)


class Gateway:
    """A `SentimentService`: cache, admission, and one computation for each text."""

    def __init__(
        self,
        model: ModelIdentity,
        engine: EngineName,
        cache: ScoreCache,
        classifier: ClassifierReplicas,
        settings: GatewaySettings,
    ) -> None:
        self.model = model
        self.engine = engine
        self.settings = settings
        self.duplicates = 0
        estimator = WaitEstimator(model.max_tokens)
        self.admission = Admission(estimator, settings)
        self.dispatcher = Dispatcher(classifier, estimator, settings)
        self.coalescer = Coalescer(self.dispatcher, cache)
        self._keys = KeySpace(model.digest, engine)
        self._cache = cache
        self._classifier = classifier
        self._probe = ModelProbe(classifier, self.dispatcher)

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Apply new tunables without a restart."""
        self.settings = self.admission.settings = self.dispatcher.settings = settings
        self._cache.reconfigure(settings)

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        """Return the texts of a request with their cache keys."""
        return KeyedTexts(texts, {text: self._keys.key(text) for text in dict.fromkeys(texts)})

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Return the scores of texts if memory has all of them, else None."""
        started = time.perf_counter()
        cached = self._cache.get_cached(keyed.keys.values())
        if cached is None:
            return None
        self.duplicates += len(keyed.texts) - len(keyed.keys)
        return _classification(keyed, cached, _NO_SCORES, time.perf_counter() - started)

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        """Score texts; see `SentimentService.classify`."""
        started = time.perf_counter()
        self.duplicates += len(keyed.texts) - len(keyed.keys)
        with span("cache", texts=len(keyed.keys)):
            cached = await self._cache.get_many(list(keyed.keys.values()))
        cache_s = time.perf_counter() - started
        missing = {key: text for text, key in keyed.keys.items() if key not in cached}
        scores = _NO_SCORES
        if missing:
            absent = self.coalescer.absent(missing)
            self.admission.check(absent, self.coalescer.waiting, self._classifier.replicas())
            try:
                with span("model", texts=len(missing)):
                    async with asyncio.timeout(within_s - cache_s):
                        scores = await self.coalescer.score(missing, absent)
            except TimeoutError:
                if not self._classifier.replicas():
                    raise errors.ModelUnavailable(errors.NO_REPLICA) from None
                raise errors.DeadlineExceeded(errors.NO_ANSWER) from None
        return _classification(keyed, cached, scores, cache_s)

    async def readiness(self) -> Readiness:
        """Return whether the model answers, and the state of the cache."""
        _, answers = await asyncio.gather(self._cache.probe(), self._probe.model_answers())
        cache = self._cache
        return Readiness("ok" if answers else "unavailable", cache.state, cache.problem)

    async def aclose(self) -> None:
        """Finish pending writes and close the cache."""
        await self.coalescer.aclose()
        await self._cache.aclose()


def _classification(
    keyed: KeyedTexts, cached: Mapping[bytes, TextLogits], scores: ModelScores, cache_s: float
) -> Classification:
    found = {**cached, **{key: logits for key, logits in scores.logits.items() if logits}}
    if len(found) < len(keyed.keys):
        raise errors.InferenceFailed(errors.NO_SCORE)
    hits = sum(keyed.keys[text] in cached for text in keyed.texts)
    return Classification(
        logits=[found[keyed.keys[text]] for text in keyed.texts],
        hits=hits,
        misses=len(keyed.texts) - hits,
        times=StageTimes(cache_s * 1000, scores.queue_ms, scores.inference_ms),
    )
