"""Texts on their way to a replica and back."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any

from serve_app.classifier.reply import ChunkReply
from serve_app.errors import ModelUnavailable
from serve_app.fanout.chunks import Chunk
from serve_app.tracing.spans import detached, origin

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


class Flight:
    """Texts that travel in one call, and how many requests wait for each of them.

    Attributes:
        texts: The texts by key.
        sizes: How many characters the smallest request has that asked for each.
        departed_at: When the call was made, in the event loop's time.
        filled: Which part of the call they take up.
        late: Whether the first text has waited long enough for company.
        reply: Ends as the call does.
        boarding_ms: How long the first text waited for the departure.
        origin: Identifies the span of the first request that is traced, to which the call belongs.
    """

    def __init__(self) -> None:
        self.texts: dict[bytes, str] = {}
        self.sizes: dict[bytes, int] = {}
        self.departed_at = math.inf
        self.filled = 0.0
        self.late = False
        self.boarding_ms = 0.0
        self.reply: asyncio.Future[ChunkReply] = asyncio.get_running_loop().create_future()
        self.origin: SpanContext | None = None
        self._context = Context()
        self._opened = time.perf_counter()
        self._passengers: Counter[bytes] = Counter()
        self._call: asyncio.Task[ChunkReply] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for any of its texts."""
        return self._passengers.total() > 0

    @property
    def size(self) -> int:
        """How many characters the smallest request has that asked for one of its texts."""
        return min(self.sizes.values(), default=0)

    @property
    def departed(self) -> bool:
        """Whether the call has been made."""
        return self._call is not None

    def board(self, chunk: Chunk, size: int) -> None:
        """Take more texts on, of a request of so many characters."""
        self._adopt()
        self.texts |= chunk.texts
        self.sizes |= dict.fromkeys(chunk.texts, size)
        self.filled += chunk.filled

    def enter(self, keys: Sequence[bytes], size: int) -> None:
        """Count a request, of so many characters, that waits for these texts."""
        self.sizes |= {key: min(size, self.sizes[key]) for key in keys}
        self._passengers.update(keys)
        self._adopt()

    def leave(self, keys: Iterable[bytes]) -> None:
        """Count a request that waits for these texts no longer."""
        self._passengers.subtract(keys)

    def drop_abandoned(self) -> dict[bytes, str]:
        """Take off, before the departure, the texts that nobody waits for; return them."""
        abandoned = {key: text for key, text in self.texts.items() if not self._passengers[key]}
        if abandoned:
            self.filled *= 1 - len(abandoned) / len(self.texts)
        for key in abandoned:
            del self.texts[key], self.sizes[key]
        return abandoned

    def cancel(self) -> None:
        """Give the call up."""
        if self._call:
            self._call.cancel()

    def depart(self, call: Coroutine[Any, Any, ChunkReply]) -> None:
        """Make the call."""
        self.boarding_ms = (time.perf_counter() - self._opened) * 1000
        # A detached context unties the call from the request that starts it: Ray Serve cancels
        # every call made in a request's context when its client disconnects.
        loop = asyncio.get_running_loop()
        self.departed_at = loop.time()
        self._call = loop.create_task(call, context=self._context)
        self._call.add_done_callback(self._land)

    def _adopt(self) -> None:
        """Let the call belong to the current request's trace, unless it belongs to one already."""
        if self.origin is None and self._call is None:
            self.origin, self._context = origin(), detached()

    def _land(self, call: "asyncio.Task[ChunkReply]") -> None:
        if call.cancelled() and self.wanted:
            self.reply.set_exception(ModelUnavailable("the call to the model was cancelled"))
            self.reply.exception()
        elif call.cancelled():
            self.reply.cancel()
        elif error := call.exception():
            self.reply.set_exception(error)
            self.reply.exception()
        else:
            self.reply.set_result(call.result())
