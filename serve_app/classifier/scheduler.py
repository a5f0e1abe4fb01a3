"""Keeps the engine busy with full batches, and idle callers waiting for nothing."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.classifier.throughput import Workload, token_count
from serve_app.engine.engine import Engine
from serve_app.engine.tokenizer import Tokens
from serve_app.errors import DeadlineExceeded, InferenceFailed
from serve_app.scores import TextLogits

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

logger = logging.getLogger("serve_app.classifier")


class Scored(NamedTuple):
    """One text's result.

    Attributes:
        logits: The model's output.
        queue_ms: Time between arrival and the start of its pass through the model.
        inference_ms: Time of that pass, which it may have shared with other texts.
    """

    logits: TextLogits
    queue_ms: float
    inference_ms: float


class Job(NamedTuple):
    """One tokenized text on its way through the model.

    Attributes:
        tokens: What the model reads.
        deadline: Monotonic time after which nobody waits for the result.
        arrived: Monotonic time of arrival.
        result: Ends with the score, `InferenceFailed` or `DeadlineExceeded`; a text whose
            result is cancelled is not computed.
        origin: Identifies the caller's span, where there is one.
        size: How many characters its request has.
    """

    tokens: Tokens
    deadline: float
    arrived: float
    result: "asyncio.Future[Scored]"
    origin: "SpanContext | None" = None
    size: int = 0


class Pass(NamedTuple):
    """One pass through the model that has succeeded.

    Attributes:
        lengths: Tokens of each text.
        queue_s: How long the text that waited longest did so.
        inference_s: Time of the pass.
        logits: The model's output, of shape [texts, labels].
        origins: The callers' spans, one entry per text.
    """

    lengths: list[int]
    queue_s: float
    inference_s: float
    logits: NDArray[np.float32]
    origins: "Sequence[SpanContext | None]"


class Scheduler:
    """Runs one batch at a time; the texts that arrive meanwhile form the next.

    `@serve.batch` seals a batch before the engine is free, so that under load its batches
    stay small. This queue is what lets them grow while the engine computes.

    Passes take turns: one takes texts in the order of their arrival, the next one those of the
    smallest requests. So a small request does not wait for large ones, and a large one waits at
    most twice as long as in the order of arrival, however many small ones there are.

    Args:
        engine: Computes in a thread of its own.
        max_batch_tokens: Most tokens, padding included, in one pass.
        observers: Told about every pass, when its results are on their way; must not raise.

    Attributes:
        left: How many texts were dropped because their callers had left, in all.
        late: How many were dropped because their deadlines had passed, in all.
        failed: How many the model could not score, in all.
        died: Whether the loop that feeds the engine has ever ended by a defect. What arrives
            later is computed, what it had taken has no result.
    """

    def __init__(
        self,
        engine: Engine,
        max_batch_tokens: int,
        observers: Sequence[Callable[[Pass], None]] = (),
    ) -> None:
        self.max_batch_tokens = max_batch_tokens
        self.left = self.late = self.failed = 0
        self.died = False
        self.workload = Workload()
        self._engine = engine
        self._observers = observers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._waiting: list[Job] = []
        self._worker: asyncio.Task[None] | None = None
        self._pass_started: float | None = None
        self._running_tokens = 0
        self._by_size = False

    @property
    def waiting(self) -> int:
        """How many texts wait for the engine."""
        return len(self._waiting)

    @property
    def pass_age_s(self) -> float:
        """Seconds since the pass under way began; zero when the engine is idle."""
        if self._pass_started is None:
            return 0.0
        return time.monotonic() - self._pass_started

    @property
    def pending_tokens(self) -> int:
        """Tokens that wait or are being computed, those that nobody waits for left out."""
        waiting = [text.tokens for text in self._waiting if not text.result.done()]
        return self._running_tokens + token_count(waiting)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue texts, each on its own account."""
        self._waiting.extend(jobs)
        if self._worker is None or self._worker.done():
            # An empty context: the worker outlives the request that happens to start it.
            self._worker = asyncio.get_running_loop().create_task(self._work(), context=Context())
            self._worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        while self._drop_the_abandoned():
            batch = self._take()
            await self._run(batch)

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        if worker.cancelled():
            self.died = True
        elif error := worker.exception():
            self.died = True
            logger.error("the loop that feeds the engine ended with %s", type(error).__name__)

    def _drop_the_abandoned(self) -> bool:
        """Forget texts that nobody waits for any more; return whether others are left."""
        now = time.monotonic()
        kept = []
        for text in self._waiting:
            if text.result.done():
                self.left += 1
                continue
            if now >= text.deadline:
                self.late += 1
                text.result.set_exception(DeadlineExceeded("the deadline passed in the queue"))
            else:
                kept.append(text)
        self._waiting = kept
        return bool(kept)

    def _take(self) -> list[Job]:
        order = list(range(len(self._waiting)))
        self._by_size = not self._by_size
        if self._by_size:
            order.sort(key=lambda index: self._waiting[index].size)
        lengths = [len(self._waiting[index].tokens.ids) for index in order]
        taken = {order[chosen] for chosen in companions(lengths, self.max_batch_tokens)}
        batch = [self._waiting[index] for index in sorted(taken)]
        self._waiting = [text for i, text in enumerate(self._waiting) if i not in taken]
        return batch

    async def _run(self, batch: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        tokens = [text.tokens for text in batch]
        waiting = self.pending_tokens
        self._running_tokens = token_count(tokens)
        self._pass_started = started = time.monotonic()
        try:
            logits = await loop.run_in_executor(
                self._thread, self._engine.logits, [text.ids for text in tokens]
            )
        except Exception as error:
            await self._run_apart(batch, error)
            return
        finally:
            self._pass_started = None
            self._running_tokens = 0
        inference_s = time.monotonic() - started
        self.workload.passed(tokens, inference_s, waiting, self.max_batch_tokens)
        for text, row in zip(batch, logits, strict=True):
            if text.result.done():
                continue
            if np.isfinite(row).all():
                values = TextLogits(tuple(row.tolist()), text.tokens.truncated)
                queue_ms = (started - text.arrived) * 1000
                text.result.set_result(Scored(values, queue_ms, inference_s * 1000))
            else:
                self.failed += 1
                text.result.set_exception(InferenceFailed("the model returned no finite score"))
        self._tell(batch, started, inference_s, logits)

    def _tell(
        self, batch: list[Job], started: float, inference_s: float, logits: NDArray[np.float32]
    ) -> None:
        done = Pass(
            lengths=[len(text.tokens.ids) for text in batch],
            queue_s=started - min(text.arrived for text in batch),
            inference_s=inference_s,
            logits=logits,
            origins=[text.origin for text in batch],
        )
        for observer in self._observers:
            try:
                observer(done)
            except Exception:
                # It must not end the worker, which would leave what waits to the next arrival.
                logger.exception("an observer of passes failed")

    async def _run_apart(self, batch: list[Job], error: Exception) -> None:
        """Retry each text alone, so that only the one at fault fails."""
        if len(batch) == 1:
            # Without its message, which may quote what the engine was given.
            logger.error("inference failed with %s", type(error).__name__)
            self.failed += 1
            if not batch[0].result.done():
                batch[0].result.set_exception(InferenceFailed("the model could not score a text"))
            return
        for text in batch:
            await self._run([text])


# A shorter text is padded by at most half of the longest one's length, or by sixteen tokens
# where that is more: below that, one more pass through the model costs more than the padding,
# which only attention computes (docs/quantization.md).
PADDING_SHARE: Final = 0.5
PADDING_TOKENS: Final = 16


def companions(lengths: Sequence[int], max_tokens: int) -> list[int]:
    """Choose the next batch: the first text and others of like length.

    The first one is always served, so that no length can starve another.

    Args:
        lengths: Tokens of each waiting text, in the order in which they are to be served; not
            empty.
        max_tokens: Most tokens in the batch, padding included; the first text goes through
            even where it alone has more.

    Returns:
        Indices of the chosen texts, in the same order, 0 among them.
    """
    chosen = [0]
    shortest = longest = lengths[0]
    for index in range(1, len(lengths)):
        length = lengths[index]
        low, high = min(shortest, length), max(longest, length)
        if high - low > max(PADDING_TOKENS, PADDING_SHARE * high):
            continue
        if high * (len(chosen) + 1) > max_tokens:
            continue
        chosen.append(index)
        shortest, longest = low, high
    return chosen
