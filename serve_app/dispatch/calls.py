"""Calls to the model's replicas, each shared by the requests that wait for its texts."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import accumulate, groupby
from math import ceil, inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from serve_app.errors import ModelUnavailable
from serve_app.scores import CallReply, TextLogits
from serve_app.telemetry.tracing import detached, origin

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


class Chunk(NamedTuple):
    """Texts of one request that share a call, and the share of a call that they fill."""

    texts_by_key: dict[bytes, str]
    filled: float


def chunks(
    texts_by_key: Mapping[bytes, str], max_texts: int, chars: int, min_chunks: int = 1
) -> list[Chunk]:
    """Split texts into few consecutive chunks, at least `min_chunks`, of equal work if possible.

    Equal chunks let replicas finish together, and a call between processes is expensive. A chunk
    has at most `max_texts` texts, and less than twice `chars` characters unless it is one text.
    """
    shares = [min(1.0, max(1 / max_texts, len(text) / chars)) for text in texts_by_key.values()]
    total = sum(shares)
    # Rounded, so that ten tenths are one.
    count = max(ceil(round(total, 6)), min(min_chunks, len(shares)))
    # A text belongs to the chunk that its middle falls into.
    numbers = [
        int((end - share / 2) * count / total)
        for end, share in zip(accumulate(shares), shares, strict=True)
    ]
    numbered = zip(numbers, texts_by_key.items(), shares, strict=True)
    groups = [list(group) for _, group in groupby(numbered, key=itemgetter(0))]
    return [
        Chunk(dict(item for _, item, _ in group), sum(share for _, _, share in group))
        for group in groups
    ]


class SharedCall:
    """One call to a replica, with texts of several requests.

    `sizes` are the characters of the smallest request that asked for each text. `filled` is the
    share of the call that the texts take up; 1 leaves no room. The call is `overdue` when its first
    text has waited long enough for others, and `cancelled` if it was given up after it was made, at
    `sent_at` in the event loop's time; infinite before. `origin` is the first traced span.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.texts_by_key: dict[bytes, str] = {}
        self.sizes: dict[bytes, int] = {}
        self.filled = 0.0
        self.overdue = False
        self.sent_at = inf
        self.queue_ms = 0.0
        self.cancelled = False
        self.result: asyncio.Future[CallReply] = loop.create_future()
        self.origin: SpanContext | None = None
        self._context = Context()
        self._created_at = loop.time()
        self._waiters: Counter[bytes] = Counter()
        self._task: asyncio.Task[CallReply] | None = None

    @property
    def waiters(self) -> int:
        """Number of requests that wait, counted once for each text."""
        return self._waiters.total()

    @property
    def sent(self) -> bool:
        """Whether a replica has been asked."""
        return self._task is not None

    @property
    def failed(self) -> bool:
        """Whether the call has ended without a reply."""
        ended = self.result
        return ended.done() and (ended.cancelled() or ended.exception() is not None)

    def scores(self) -> dict[bytes, TextLogits | None]:
        """Return the scores by key, None where the model failed on the text; or raise."""
        return dict(zip(self.texts_by_key, self.result.result().logits, strict=True))

    def add_texts(self, chunk: Chunk, size: int) -> None:
        """Add texts of a request that has `size` characters."""
        self._set_origin()
        self.texts_by_key |= chunk.texts_by_key
        self.sizes |= dict.fromkeys(chunk.texts_by_key, size)
        self.filled += chunk.filled

    def add_waiter(self, keys: Sequence[bytes], size: int) -> None:
        """Count a request of `size` characters that waits for these texts."""
        self.sizes |= {key: min(size, self.sizes[key]) for key in keys}
        self._waiters.update(keys)
        self._set_origin()

    def remove_waiter(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Stop counting a request; before the call, remove and return texts without a waiter."""
        self._waiters.subtract(keys)
        if self.sent:
            return {}
        abandoned = {k: text for k, text in self.texts_by_key.items() if not self._waiters[k]}
        if abandoned:
            self.filled *= 1 - len(abandoned) / len(self.texts_by_key)
        for key in abandoned:
            del self.texts_by_key[key], self.sizes[key]
        return abandoned

    def send(self, reply: Coroutine[Any, Any, CallReply]) -> asyncio.Task[CallReply]:
        """Make the call; `done` is to be called with the task at its end."""
        loop = asyncio.get_running_loop()
        self.sent_at = loop.time()
        self.queue_ms = (self.sent_at - self._created_at) * 1000
        # A detached context unties the call from the request that starts it: Ray Serve cancels
        # every call made in a request's context when its client disconnects.
        self._task = loop.create_task(reply, context=self._context)
        return self._task

    def done(self, task: asyncio.Task[CallReply]) -> None:
        """Set the result to that of the call's task."""
        if task.cancelled() and not self.waiters:
            self.result.cancel()
            return
        if task.cancelled():
            self.result.set_exception(ModelUnavailable("The call to the model was cancelled."))
        elif error := task.exception():
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())
        # Marks an error as retrieved: nobody may be left to do so.
        self.result.exception()

    def cancel(self) -> None:
        """Give up a call that was made."""
        self.cancelled = True
        if self._task:
            self._task.cancel()

    def _set_origin(self) -> None:
        if self.origin is None and not self.sent:
            self.origin, self._context = origin(), detached()
