"""One computation per text, however many requests ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from serve_app.classifier.reply import ChunkReply
from serve_app.fanout.chunks import chunks
from serve_app.scores import TextLogits
from serve_app.tracing.spans import detached, link, origin

Compute = Callable[[Sequence[str]], Coroutine[Any, Any, ChunkReply]]
OnLanded = Callable[[Mapping[bytes, TextLogits]], None]


class Landed(NamedTuple):
    """What became of the texts that a request asked for.

    Attributes:
        texts: One entry per key; None where the model failed on the text.
        queue_ms: Longest wait for an engine among them.
        inference_ms: Longest pass through the model among them.
    """

    texts: dict[bytes, TextLogits | None]
    queue_ms: float
    inference_ms: float


class _Flight:
    """One chunk under way, and how many requests wait for it."""

    def __init__(self, keys: Sequence[bytes], task: "asyncio.Task[ChunkReply]") -> None:
        self.keys = keys
        self.task = task
        self.passengers = 0
        self.origin = origin()


class SingleFlight:
    """Shares computations between requests.

    A flight belongs to nobody: the request that started it may leave, and it goes on as long as
    another one waits for it. When the last one leaves, it is cancelled.

    Args:
        compute: Scores a chunk of texts.
        on_landed: Told about every text scored.

    Attributes:
        started: How many texts flights were started for, in all.
        joined: How many texts were found on their way already, in all.
        waiting: How many requests wait for flights.
    """

    def __init__(self, compute: Compute, on_landed: OnLanded) -> None:
        self.started = 0
        self.joined = 0
        self.waiting = 0
        self._compute = compute
        self._on_landed = on_landed
        self._flights: dict[bytes, _Flight] = {}

    @property
    def texts_in_flight(self) -> int:
        """How many distinct texts are being computed."""
        return len(self._flights)

    def absent(self, keys: Iterable[bytes]) -> int:
        """Return for how many of these keys no flight is under way."""
        return sum(key not in self._flights for key in keys)

    async def score(self, wanted: Mapping[bytes, str], chunk_texts: int) -> Landed:
        """Join the flights that carry these texts, and start flights for the others.

        Args:
            wanted: Texts by key; not empty.
            chunk_texts: Most texts in one flight.

        Raises:
            ServiceError: A flight failed as a whole.
        """
        absent = [key for key in wanted if key not in self._flights]
        self.started += len(absent)
        self.joined += len(wanted) - len(absent)
        for keys in chunks(absent, chunk_texts):
            self._start({key: wanted[key] for key in keys})
        flights = {id(flight): flight for flight in (self._flights[key] for key in wanted)}
        for flight in flights.values():
            flight.passengers += 1
        self.waiting += 1
        link(flight.origin for flight in flights.values())
        try:
            # wait() leaves the tasks running when the caller is cancelled; gather() would not.
            await asyncio.wait(
                [flight.task for flight in flights.values()],
                return_when=asyncio.FIRST_EXCEPTION,
            )
            return _landed(wanted, list(flights.values()))
        finally:
            self.waiting -= 1
            for flight in flights.values():
                flight.passengers -= 1
                if not flight.passengers and not flight.task.done():
                    flight.task.cancel()
                    self._forget(flight)

    def _start(self, chunk: Mapping[bytes, str]) -> None:
        # A detached context unties the call from the request that starts it: Ray Serve cancels
        # every call made in a request's context when its client disconnects.
        task = asyncio.get_running_loop().create_task(
            self._compute(list(chunk.values())), context=detached()
        )
        flight = _Flight(list(chunk), task)
        self._flights.update(dict.fromkeys(chunk, flight))
        task.add_done_callback(lambda _: self._land(flight))

    def _land(self, flight: _Flight) -> None:
        self._forget(flight)
        if flight.task.cancelled() or flight.task.exception():
            return
        scored = zip(flight.keys, flight.task.result().texts, strict=True)
        self._on_landed({key: text for key, text in scored if text is not None})

    def _forget(self, flight: _Flight) -> None:
        for key in flight.keys:
            if self._flights.get(key) is flight:
                del self._flights[key]


def _succeeded(flight: _Flight) -> bool:
    task = flight.task
    return not task.done() or (not task.cancelled() and task.exception() is None)


def _landed(wanted: Mapping[bytes, str], flights: Sequence[_Flight]) -> Landed:
    # Where one has failed, others may still be on their way: its error is the request's.
    replies = [flight.task.result() for flight in sorted(flights, key=_succeeded)]
    texts = {
        key: text
        for flight, reply in zip(flights, replies, strict=True)
        for key, text in zip(flight.keys, reply.texts, strict=True)
        if key in wanted
    }
    return Landed(
        texts,
        max(reply.queue_ms for reply in replies),
        max(reply.inference_ms for reply in replies),
    )
