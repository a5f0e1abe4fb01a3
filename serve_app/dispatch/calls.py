"""Calls to the model's replicas, each shared by the requests that wait for its texts."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import accumulate, groupby
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from serve_app.errors import ModelUnavailable
from serve_app.scores import CallReply, TextLogits
from serve_app.telemetry.tracing import detached, origin

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


class Chunk(NamedTuple):
    """Texts of one request that share a call.

    Attributes:
        texts_by_key: The texts.
        filled: The share of a call that they take up; 1 leaves no room.
    """

    texts_by_key: dict[bytes, str]
    filled: float


def chunks(
    texts_by_key: Mapping[bytes, str], max_texts: int, chars: int, min_chunks: int = 1
) -> list[Chunk]:
    """Split texts into consecutive chunks that are as equal in work as possible.

    Equal chunks let replicas finish together; few chunks keep calls between processes rare.

    Args:
        texts_by_key: The texts, in this order.
        max_texts: Maximum number of texts in a chunk.
        chars: Characters that fill a chunk; a chunk of several texts has less than twice as many.
        min_chunks: Minimum number of chunks, as long as each has a text.
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

    Attributes:
        texts_by_key: The texts.
        filled: The share of the call that they take up.
        overdue: Whether the first text has waited long enough for others to share the call.
        queue_ms: Time between the first text's arrival and the call.
        sent_at: Time of the call in the event loop's time; infinite before it.
        cancelled: Whether the call was given up after it was sent.
        result: The replica's reply, or the error that ended the call.
        origin: The span of the first traced request, to which the call belongs.
    """

    def __init__(self) -> None:
        self.texts_by_key: dict[bytes, str] = {}
        self.filled = 0.0
        self.overdue = False
        self.queue_ms = 0.0
        self.sent_at = math.inf
        self.cancelled = False
        self.result: asyncio.Future[CallReply] = asyncio.get_running_loop().create_future()
        self.origin: SpanContext | None = None
        self._context = Context()
        self._created = time.perf_counter()
        self._sizes: dict[bytes, int] = {}
        self._waiters: Counter[bytes] = Counter()
        self._task: asyncio.Task[CallReply] | None = None

    @property
    def waiters(self) -> int:
        """Number of requests that wait for its texts, counted once for each text."""
        return self._waiters.total()

    @property
    def size(self) -> int:
        """Number of characters of the smallest request that asked for one of its texts."""
        return min(self._sizes.values())

    @property
    def sizes(self) -> list[int]:
        """Number of characters of the smallest request that asked for each text."""
        return list(self._sizes.values())

    @property
    def sent(self) -> bool:
        """Whether a replica has been asked."""
        return self._task is not None

    @property
    def failed(self) -> bool:
        """Whether the call has ended without a reply."""
        result = self.result
        return result.done() and (result.cancelled() or result.exception() is not None)

    def scores(self) -> dict[bytes, TextLogits | None]:
        """Return the scores by key, None where the model failed on the text.

        Raises:
            ServiceError: The call failed.
        """
        return dict(zip(self.texts_by_key, self.result.result().texts, strict=True))

    def add_texts(self, chunk: Chunk, size: int) -> None:
        """Add texts of a request that has `size` characters."""
        self._set_origin()
        self.texts_by_key |= chunk.texts_by_key
        self._sizes |= dict.fromkeys(chunk.texts_by_key, size)
        self.filled += chunk.filled

    def add_waiter(self, keys: Sequence[bytes], size: int) -> None:
        """Count a request of `size` characters that waits for these texts."""
        self._sizes |= {key: min(size, self._sizes[key]) for key in keys}
        self._waiters.update(keys)
        self._set_origin()

    def remove_waiter(self, keys: Iterable[bytes]) -> None:
        """Stop counting a request that waited for these texts."""
        self._waiters.subtract(keys)

    def drop_abandoned(self) -> dict[bytes, str]:
        """Remove the texts without a waiter, before the call is sent, and return them."""
        abandoned = {k: text for k, text in self.texts_by_key.items() if not self._waiters[k]}
        if abandoned:
            self.filled *= 1 - len(abandoned) / len(self.texts_by_key)
        for key in abandoned:
            del self.texts_by_key[key], self._sizes[key]
        return abandoned

    def send(self, reply: Coroutine[Any, Any, CallReply]) -> asyncio.Task[CallReply]:
        """Make the call, and return the task, whose end sets `result`."""
        self.queue_ms = (time.perf_counter() - self._created) * 1000
        loop = asyncio.get_running_loop()
        self.sent_at = loop.time()
        # A detached context unties the call from the request that starts it: Ray Serve cancels
        # every call made in a request's context when its client disconnects.
        self._task = loop.create_task(reply, context=self._context)
        self._task.add_done_callback(self._done)
        return self._task

    def cancel(self) -> None:
        """Give up a call that was sent."""
        self.cancelled = True
        if self._task:
            self._task.cancel()

    def _set_origin(self) -> None:
        if self.origin is None and not self.sent:
            self.origin, self._context = origin(), detached()

    def _done(self, task: asyncio.Task[CallReply]) -> None:
        if task.cancelled() and not self.waiters:
            self.result.cancel()
            return
        if task.cancelled():
            self.result.set_exception(ModelUnavailable("the call to the model was cancelled"))
        elif error := task.exception():
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())
        # Marks an error as retrieved: nobody may be left to do so.
        self.result.exception()
