"""The queue before the engine: full batches under load, no wait when idle."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.classifier.throughput import ThroughputEstimator
from serve_app.errors import DeadlineExceeded
from serve_app.scores import TextLogits

# Gateways import this module for `AlternatingOrder`, and need no engine.
if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from serve_app.engine.engine import Engine
    from serve_app.engine.tokenizer import Tokens

T = TypeVar("T")

logger = logging.getLogger("serve_app.classifier")

# A shorter text is padded by at most half of the longest one's length, or by sixteen tokens
# where that is more: below that, one more forward pass costs more than the padding, which only
# attention computes (docs/quantization.md).
MAX_PADDING_SHARE: Final = 0.5
MAX_PADDING_TOKENS: Final = 16


class AlternatingOrder:
    """An order of service that alternates between smallest first and arrival.

    A small request does not wait for large ones, and a large one waits at most twice as long as in
    the order of arrival, however many small ones there are.
    """

    def __init__(self) -> None:
        self._by_size = False

    def next(self, items: Sequence[T], size: Callable[[T], int]) -> list[int]:
        """Return the indices of items, given in the order of arrival, in the order of service.

        `size` is that of an item's request. The first call goes by size, the second by arrival.
        """
        self._by_size = not self._by_size
        order = list(range(len(items)))
        return sorted(order, key=lambda index: size(items[index])) if self._by_size else order


class Scored(NamedTuple):
    """One text's logits, and its time before and in a forward pass that others may have shared."""

    logits: TextLogits
    queue_ms: float
    inference_ms: float


class QueuedText(NamedTuple):
    """One tokenized text that is to be scored until a monotonic deadline.

    The result ends with the score, with None where the model could not score the text, or with
    `DeadlineExceeded`; a text whose result is cancelled is not computed. It runs `alone` if its
    batch has failed. `request_chars` are the characters of all texts of its request.
    """

    tokens: "Tokens"
    deadline: float
    arrived: float
    result: "asyncio.Future[Scored | None]"
    origin: "SpanContext | None" = None
    request_chars: int = 0
    alone: bool = False


class ForwardPass(NamedTuple):
    """A successful run of the model over one batch.

    `lengths` are the texts' tokens, `queue_s` the age of the oldest text at the start. The logits
    are of shape [texts, labels].
    """

    lengths: list[int]
    queue_s: float
    inference_s: float
    logits: NDArray[np.float32]
    origins: "Sequence[SpanContext | None]"


class BatchScheduler:
    """A queue of texts for one engine, which runs one batch at a time.

    Jobs that arrive while the engine computes form the next batch, of at most `max_batch_tokens`
    with padding. Texts are counted as `left` or `late` where they were dropped because their caller
    had left or their deadline had passed, and as `failed` where the model could not score them. If
    the loop that feeds the engine `died` by a defect, the batch that it had taken has no result.
    """

    def __init__(
        self,
        engine: "Engine",
        max_batch_tokens: int,
        record: Callable[[ForwardPass], None] = lambda _: None,
    ) -> None:
        self.max_batch_tokens = max_batch_tokens
        self.throughput = ThroughputEstimator()
        self.left = self.late = self.failed = 0
        self.died = False
        self._engine = engine
        self._record = record
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._waiting: list[QueuedText] = []
        self._order = AlternatingOrder()
        self._worker: asyncio.Task[None] | None = None
        self._pass_started: float | None = None
        self._running_tokens = 0

    @property
    def waiting(self) -> int:
        """Number of texts that wait for the engine."""
        return len(self._waiting)

    @property
    def pass_age_s(self) -> float:
        """Seconds since the current forward pass began; zero when the engine is idle."""
        return 0.0 if self._pass_started is None else time.monotonic() - self._pass_started

    @property
    def pending_tokens(self) -> int:
        """Tokens that wait or are being computed, without those that nobody waits for."""
        wanted = (text for text in self._waiting if not text.result.done())
        return self._running_tokens + _token_count(wanted)

    def submit(self, texts: Iterable[QueuedText]) -> None:
        """Queue texts."""
        self._waiting.extend(texts)
        if self._worker is None or self._worker.done():
            # An empty context: the worker outlives the request that happens to start it.
            self._worker = asyncio.get_running_loop().create_task(self._work(), context=Context())
            self._worker.add_done_callback(self._worker_ended)

    async def _work(self) -> None:
        while batch := self._next_batch():
            await self._run(batch)

    def _worker_ended(self, worker: "asyncio.Task[None]") -> None:
        error = None if worker.cancelled() else worker.exception()
        self.died |= worker.cancelled() or error is not None
        if error:
            logger.error("the loop that feeds the engine ended with %s", type(error).__name__)

    def _next_batch(self) -> list[QueuedText]:
        now = time.monotonic()
        kept = []
        for text in self._waiting:
            if text.result.done():
                self.left += 1
            elif now >= text.deadline:
                self.late += 1
                text.result.set_exception(DeadlineExceeded("The deadline passed in the queue."))
            else:
                kept.append(text)
        self._waiting = kept
        if not kept:
            return []
        if self._waiting[0].alone:
            return [self._waiting.pop(0)]
        order = self._order.next(self._waiting, lambda text: text.request_chars)
        lengths = [len(self._waiting[index].tokens.ids) for index in order]
        taken = {order[position] for position in select_batch(lengths, self.max_batch_tokens)}
        batch = [self._waiting[index] for index in sorted(taken)]
        self._waiting = [text for index, text in enumerate(self._waiting) if index not in taken]
        return batch

    async def _run(self, batch: list[QueuedText]) -> None:
        full = not batch[0].alone and self.pending_tokens >= self.max_batch_tokens
        self._running_tokens = tokens = _token_count(batch)
        self._pass_started = started = time.monotonic()
        try:
            logits = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._engine.logits, [text.tokens.ids for text in batch]
            )
        except Exception as error:
            if len(batch) > 1:
                # Each again in a batch of its own, so that only the one at fault fails.
                self._waiting[:0] = [text._replace(alone=True) for text in batch]
            else:
                # Without its message, which may quote what the engine was given.
                logger.error("inference failed with %s", type(error).__name__)
                self._end(batch[0], None)
            return
        finally:
            self._pass_started = None
            self._running_tokens = 0
        inference_s = time.monotonic() - started
        self.throughput.observe_batch(tokens, inference_s, full=full)
        for text, row in zip(batch, logits, strict=True):
            values = TextLogits(tuple(row.tolist()), text.tokens.truncated)
            scored = Scored(values, (started - text.arrived) * 1000, inference_s * 1000)
            self._end(text, scored if np.isfinite(row).all() else None)
        forward_pass = ForwardPass(
            lengths=[len(text.tokens.ids) for text in batch],
            queue_s=started - min(text.arrived for text in batch),
            inference_s=inference_s,
            logits=logits,
            origins=[text.origin for text in batch],
        )
        try:
            self._record(forward_pass)
        except Exception:
            # A defect of metrics or traces must not end the worker.
            logger.exception("a forward pass could not be recorded")

    def _end(self, text: QueuedText, result: Scored | None) -> None:
        self.failed += result is None
        if not text.result.done():
            text.result.set_result(result)


def _token_count(texts: Iterable[QueuedText]) -> int:
    return sum(len(text.tokens.ids) for text in texts)


def select_batch(lengths: Sequence[int], max_tokens: int) -> list[int]:
    """Select the next batch: the first text, so that no length starves, and those of like length.

    Takes the tokens of each waiting text in the order of service, and returns their indices in that
    order. With padding, a batch has at most `max_tokens`, unless it is one text.
    """
    selected = [0]
    shortest = longest = lengths[0]
    for index in range(1, len(lengths)):
        low, high = min(shortest, lengths[index]), max(longest, lengths[index])
        fits = high * (len(selected) + 1) <= max_tokens
        if fits and high - low <= max(MAX_PADDING_TOKENS, MAX_PADDING_SHARE * high):
            selected.append(index)
            shortest, longest = low, high
    return selected
