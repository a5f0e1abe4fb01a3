"""A model for calls to reach, and requests that wait for it."""

import asyncio
from collections.abc import Sequence

from serve_app.cache.score_cache import ScoreCache
from serve_app.dispatch.coalescer import Coalescer, ModelScores
from serve_app.dispatch.dispatcher import Dispatcher, WaitEstimator
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import GatewaySettings

# An open call is sent when another call returns, here never by time.
SETTINGS = GatewaySettings(call_wait_s=1.0, calls_per_replica=2)


class Model:
    """Computes when let go, and keeps what it was asked."""

    def __init__(self, replicas: int = 1) -> None:
        self.running = replicas
        self.go_on = asyncio.Event()
        self.asked: list[list[str]] = []
        self.sizes: list[list[int]] = []
        self.cancelled = 0
        self.error: Exception | None = None

    def replicas(self) -> int:
        return self.running

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        self.asked.append(list(texts))
        self.sizes.append(list(sizes))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        scored = [None if text == "poison" else logits(text) for text in texts]
        return CallReply(scored, 1.0, 2.0)


def logits(text: str) -> TextLogits:
    return TextLogits((float(len(text)), 0.0), truncated=False)


def by_key(*texts: str) -> dict[bytes, str]:
    return {text.encode(): text for text in texts}


class Texts:
    """Requests that a coalescer and its dispatcher answer by a model."""

    def __init__(self, model: Model, **settings: float) -> None:
        chosen = SETTINGS.model_copy(update=settings)
        self.model = model
        self.cache = ScoreCache(2, chosen)
        self.estimator = WaitEstimator(512)
        self.dispatcher = Dispatcher(model, self.estimator, chosen)
        self.coalescer = Coalescer(self.dispatcher, self.cache)

    async def score(self, *texts: str) -> ModelScores:
        """Ask for texts in one request."""
        texts_by_key = by_key(*texts)
        return await self.coalescer.score(texts_by_key, self.coalescer.absent(texts_by_key))

    def start(self, *texts: str) -> asyncio.Task[ModelScores]:
        """Ask for texts in one request, and do not wait for the answer."""
        return asyncio.create_task(self.score(*texts))

    async def ask(self, texts: str, calls: int) -> list[asyncio.Task[ModelScores]]:
        """Ask for each text in a request of its own, and return once so many calls are made."""
        callers = [self.start(text) for text in texts]
        while len(self.model.asked) < calls:
            await asyncio.sleep(0)
        return callers
