"""Texts on their way to a replica and back."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Container, Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import accumulate, groupby
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from serve_app.errors import ModelUnavailable
from serve_app.scores import CallReply, TextLogits
from serve_app.telemetry.tracing import detached, origin


class Chunk(NamedTuple):
    """Texts that travel together.

    Attributes:
        texts: The texts by key.
        filled: Which part of a call they take up, 1 where there is no room left.
        longest: Which part of a call's characters the longest of them has.
    """

    texts: dict[bytes, str]
    filled: float
    longest: float


def chunks(texts: Mapping[bytes, str], most: int, chars: int, least: int = 1) -> list[Chunk]:
    """Split into consecutive chunks, as equal in work as can be.

    Equal chunks let replicas finish together; few of them keep calls between processes rare.

    Args:
        texts: What is split, by key, in this order.
        most: Most texts in a chunk.
        chars: Characters that fill a chunk; no chunk of several texts has twice as many.
        least: Fewest chunks, as long as each has a text.
    """
    shares = {key: min(1.0, max(1 / most, len(text) / chars)) for key, text in texts.items()}
    total = sum(shares.values())
    # Rounded, so that ten tenths are one.
    count = max(ceil(round(total, 6)), min(least, len(texts)))
    # A text belongs to the chunk that its middle falls into.
    ends = accumulate(shares.values())
    middles = (end - part / 2 for end, part in zip(ends, shares.values(), strict=True))
    numbered = (
        (int(middle * count / total), key) for middle, key in zip(middles, texts, strict=True)
    )
    groups = ([key for _, key in group] for _, group in groupby(numbered, key=itemgetter(0)))
    return [
        Chunk(
            texts={key: texts[key] for key in keys},
            filled=sum(shares[key] for key in keys),
            longest=max(len(texts[key]) for key in keys) / chars,
        )
        for keys in groups
    ]


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
        self.reply: asyncio.Future[CallReply] = asyncio.get_running_loop().create_future()
        self.origin: SpanContext | None = None
        self._context = Context()
        self._opened = time.perf_counter()
        self._passengers: Counter[bytes] = Counter()
        self._call: asyncio.Task[CallReply] | None = None

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

    def depart(self, call: Coroutine[Any, Any, CallReply]) -> None:
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

    def _land(self, call: "asyncio.Task[CallReply]") -> None:
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


class Landed(NamedTuple):
    """What became of the texts that a request asked for.

    Attributes:
        texts: One entry per key; None where the model failed on the text.
        queue_ms: Longest wait for a call and for an engine among them.
        inference_ms: Longest pass through the model among them.
    """

    texts: dict[bytes, TextLogits | None]
    queue_ms: float
    inference_ms: float


def landed(wanted: Container[bytes], flights: Sequence[Flight]) -> Landed:
    """Put together what the flights of a request have brought.

    Args:
        wanted: Keys of the texts that the request asked for.
        flights: What carries them; each has landed, or one has failed.

    Raises:
        ServiceError: A flight failed as a whole.
    """
    # Where one has failed, others may still be on their way: its error is the request's.
    replies = [flight.reply.result() for flight in sorted(flights, key=_succeeded)]
    texts = {
        key: text
        for flight, reply in zip(flights, replies, strict=True)
        for key, text in zip(flight.texts, reply.texts, strict=True)
        if key in wanted
    }
    return Landed(
        texts,
        max(
            flight.boarding_ms + reply.queue_ms
            for flight, reply in zip(flights, replies, strict=True)
        ),
        max(reply.inference_ms for reply in replies),
    )


def _succeeded(flight: Flight) -> bool:
    reply = flight.reply
    return not reply.done() or (not reply.cancelled() and reply.exception() is None)
