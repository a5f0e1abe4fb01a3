"""One computation per text, however many requests ask for it at the same time."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Any, Final

from serve_app.dispatch.calls import Flight, Landed, chunks, landed
from serve_app.dispatch.wait_estimator import Backlog
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import GatewaySettings
from serve_app.telemetry.tracing import link

Compute = Callable[[Sequence[str], Sequence[int]], Coroutine[Any, Any, CallReply]]
OnLanded = Callable[[Mapping[bytes, TextLogits]], None]

# A call costs as much CPU as a few short texts do, so spreading fewer over replicas is slower.
LEAST_SPREAD: Final = 4
# A call returns when its last text is scored, so longer texts share none with other requests'.
LONGEST_SHARED: Final = 0.25


class SingleFlight:
    """Shares computations, and calls, between requests.

    While the replicas have calls enough to stay busy, texts board a flight together, which
    departs when it is full, when another one lands, or after `call_wait_s`. So calls are few
    under load, and nobody waits when there is none. A long text does not wait, and nobody for it.
    Full is also a flight with one replica's share of all texts in flight: those who are answered
    together ask again together, and would else stay one large batch on one replica, beside
    others that compute single texts.
    Beyond `max_calls_per_replica` nothing departs: what one replica has taken no other can do, so
    that what waits here is what replicas that are started meanwhile can take over.

    A flight belongs to nobody: the request that started it may leave, and it goes on as long as
    another one waits for it. When the last one leaves, it is cancelled.

    Args:
        compute: Scores a chunk of texts, each with the size of its request in characters.
        on_landed: Told about every text scored.
        replicas: Returns how many replicas take calls.
        settings: Tunables; the attribute of this name may be replaced at any time.
        backlog: Told what waits and how fast it is done.

    Attributes:
        started: How many texts flights were started for, in all.
        joined: How many texts were found on their way already, in all.
        abandoned: How many texts were not sent because nobody waited for them any more, in all.
        waiting: How many requests wait for flights.
    """

    def __init__(
        self,
        compute: Compute,
        on_landed: OnLanded,
        replicas: Callable[[], int],
        settings: GatewaySettings,
        backlog: Backlog,
    ) -> None:
        self.settings = settings
        self._backlog = backlog
        self.started = 0
        self.joined = 0
        self.abandoned = 0
        self.waiting = 0
        self._compute = compute
        self._on_landed = on_landed
        self._replicas = replicas
        self._flights: dict[bytes, Flight] = {}
        self._boarding: Flight | None = None
        self._ready: deque[Flight] = deque()
        self._under_way = 0
        self._by_size = False

    @property
    def texts_in_flight(self) -> int:
        """How many distinct texts are being computed, or wait for it."""
        return len(self._flights)

    @property
    def held_chars(self) -> int:
        """How many characters the texts have that no replica has been asked for yet."""
        held = [*self._ready, self._boarding] if self._boarding else self._ready
        return sum(len(text) for flight in held for text in flight.texts.values())

    def absent(self, wanted: Mapping[bytes, str]) -> dict[bytes, str]:
        """Return those of the texts, by key, for which there is no flight that may be joined.

        A call ends after twice the longest deadline. One that is older than one such deadline
        might end before the request that joins it has to.
        """
        oldest = asyncio.get_running_loop().time() - self.settings.deadline_s
        return {
            key: text
            for key, text in wanted.items()
            if not (flight := self._flights.get(key)) or flight.departed_at < oldest
        }

    async def score(self, wanted: Mapping[bytes, str]) -> Landed:
        """Join the flights that carry these texts, and put the others on flights.

        Args:
            wanted: Texts by key; not empty.

        Raises:
            ServiceError: A flight failed as a whole.
        """
        absent = self.absent(wanted)
        self.started += len(absent)
        self.joined += len(wanted) - len(absent)
        size = sum(map(len, wanted.values()))
        self._board(absent, size)
        tickets: dict[Flight, list[bytes]] = {}
        for key in wanted:
            tickets.setdefault(self._flights[key], []).append(key)
        for flight, keys in tickets.items():
            flight.enter(keys, size)
        self.waiting += 1
        try:
            link(flight.origin for flight in tickets)
            # wait() leaves the replies alone when the caller is cancelled; gather() would not.
            await asyncio.wait(
                [flight.reply for flight in tickets], return_when=asyncio.FIRST_EXCEPTION
            )
            return landed(wanted, list(tickets))
        finally:
            self.waiting -= 1
            for flight, keys in tickets.items():
                self._leave(flight, keys)

    def _board(self, texts: Mapping[bytes, str], size: int) -> None:
        settings = self.settings
        idle = self._replicas() - self._under_way
        spread = max(1, min(idle, len(texts) // LEAST_SPREAD))
        for chunk in chunks(texts, settings.chunk_texts, settings.chunk_chars, spread):
            alone = chunk.longest > LONGEST_SHARED
            if self._boarding and not alone and self._boarding.filled + chunk.filled > 1:
                self._close(self._boarding)
            flight = Flight() if alone else self._boarding or self._open()
            flight.board(chunk, size)
            self._backlog.enter(
                text for key, text in chunk.texts.items() if key not in self._flights
            )
            self._flights.update(dict.fromkeys(chunk.texts, flight))
            full = flight.filled + 1 / settings.chunk_texts > 1
            if alone or full or len(flight.texts) >= self._share():
                self._close(flight)
            self._dispatch()

    def _share(self) -> int:
        """Return with how many texts in each call all replicas have as much to do."""
        return max(LEAST_SPREAD, math.ceil(len(self._flights) / max(1, self._replicas())))

    def _has_room(self, calls_per_replica: int) -> bool:
        return self._under_way < max(1, self._replicas()) * calls_per_replica

    def _open(self) -> Flight:
        self._boarding = flight = Flight()
        asyncio.get_running_loop().call_later(
            self.settings.call_wait_s, self._close_late, flight, context=Context()
        )
        return flight

    def _close_late(self, flight: Flight) -> None:
        flight.late = True
        self._dispatch()

    def _close(self, flight: Flight) -> None:
        """Let nobody board any more."""
        if flight is self._boarding:
            self._boarding = None
        self._ready.append(flight)

    def _dispatch(self) -> None:
        """Let depart what may: one call computes while the next waits, more fill the batches."""
        while self._has_room(self.settings.max_calls_per_replica) and (flight := self._next()):
            self._depart(flight)

    def _next(self) -> Flight | None:
        """Take the next flight that may depart.

        Turns are taken as in the scheduler: by arrival, then by size, so that a small request does
        not wait for large ones.
        """
        boarding = self._boarding
        may_close = boarding and (boarding.late or self._has_room(self.settings.calls_per_replica))
        flights = [*self._ready, boarding] if boarding and may_close else [*self._ready]
        if not flights:
            return None
        self._by_size = not self._by_size
        first = min(flights, key=lambda each: each.size) if self._by_size else flights[0]
        self._strike(first)
        return first

    def _depart(self, flight: Flight) -> None:
        self._look_back()
        self._under_way += 1
        flight.reply.add_done_callback(lambda _: self._land(flight))
        flight.depart(self._compute(list(flight.texts.values()), list(flight.sizes.values())))

    def _land(self, flight: Flight) -> None:
        held = self._look_back()
        self._under_way -= 1
        self._forget(flight, flight.texts)
        self._dispatch()
        if not flight.reply.cancelled() and not flight.reply.exception():
            if held:
                self._backlog.done(flight.texts.values())
            scored = zip(flight.texts, flight.reply.result().texts, strict=True)
            self._on_landed({key: text for key, text in scored if text is not None})

    def _leave(self, flight: Flight, keys: Iterable[bytes]) -> None:
        flight.leave(keys)
        if not flight.departed:
            abandoned = flight.drop_abandoned()
            self.abandoned += len(abandoned)
            self._forget(flight, abandoned)
            if not flight.texts:
                self._strike(flight)
        elif not flight.wanted:
            flight.cancel()
            self._forget(flight, flight.texts)

    def _strike(self, flight: Flight) -> None:
        if flight is self._boarding:
            self._boarding = None
        else:
            self._ready.remove(flight)

    def _forget(self, flight: Flight, texts: Mapping[bytes, str]) -> None:
        for key, text in texts.items():
            if self._flights.get(key) is flight:
                del self._flights[key]
                self._backlog.leave([text])

    def _look_back(self) -> bool:
        """Tell the backlog of the time since the last call departed or landed.

        Returns:
            Whether texts had to stay here because the replicas had calls enough.
        """
        held = not self._has_room(self.settings.max_calls_per_replica)
        self._backlog.passed(max(1, self._replicas()) if held else 0)
        return held
