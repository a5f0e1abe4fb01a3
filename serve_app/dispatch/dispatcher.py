"""The queue of calls to the model's replicas, and an estimate of the wait in it."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import Context
from functools import partial
from typing import Final, Protocol

from serve_app.classifier.scheduler import AlternatingOrder
from serve_app.dispatch.calls import Chunk, SharedCall, chunks
from serve_app.scores import CallReply
from serve_app.settings import GatewaySettings

# A model reads at most so many tokens, of about so many characters each; the rest costs nothing.
CHARS_PER_TOKEN: Final = 5
# Cost of the shortest text in characters: a model adds tokens of its own to each text.
CHARS_PER_TEXT: Final = 10
# Measurements lose weight with this time constant of busy time, in seconds.
MEMORY_S: Final = 10.0
# A longer silence is a sign of replicas that are lost or replaced, not of how fast they are.
MAX_SILENCE_S: Final = 2.0
# A call costs as much CPU as a few short texts do, so spreading fewer over replicas is slower.
MIN_SPREAD: Final = 4
# A call returns when its last text is scored, so a longer text shares none with other requests'.
MAX_SHARED: Final = 0.25


class ClassifierReplicas(Protocol):
    """The model's replicas as a gateway sees them."""

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        """Score texts within so many seconds; `sizes` are the characters of their requests."""

    def replicas(self) -> int:
        """Return how many replicas run."""


class WaitEstimator:
    """The texts that wait for the model, and the rate at which this gateway gets work done.

    Work is counted in characters, which need no tokenizer. Only time counts in which calls are held
    because the replicas have enough: at other times little is done for want of work. By Little's
    law, what waits is done after `pending / rate`, whoever else uses the replicas.
    """

    def __init__(self, max_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.texts = self.pending = 0
        self._max_chars = max_tokens * CHARS_PER_TOKEN
        self._clock = clock
        self._last = clock()
        self._done = self._seconds = 0.0

    def work(self, texts: Iterable[str]) -> int:
        """Return the work that texts are."""
        return sum(min(len(text), self._max_chars) + CHARS_PER_TEXT for text in texts)

    def add(self, texts: Collection[str]) -> None:
        """Count texts that wait from now on."""
        self.texts += len(texts)
        self.pending += self.work(texts)

    def remove(self, texts: Collection[str]) -> None:
        """Stop counting texts that were computed or given up."""
        self.texts -= len(texts)
        self.pending -= self.work(texts)

    def observe_time(self, busy_replicas: int) -> None:
        """Count the time since the last observation, in which all of so many replicas were busy."""
        now = self._clock()
        if busy_replicas:
            seconds = min(now - self._last, MAX_SILENCE_S)
            kept = math.exp(-seconds / MEMORY_S)
            self._seconds = kept * self._seconds + busy_replicas * seconds
            self._done *= kept
        self._last = now

    def observe_done(self, texts: Iterable[str]) -> None:
        """Count texts that were scored while all replicas had enough calls."""
        self._done += self.work(texts)

    def wait_s(self, replicas: int, more: int = 0) -> float | None:
        """Return in how many seconds what waits, and more, is done; None before a measurement."""
        if not self._done or not self._seconds:
            return None
        return (self.pending + more) * self._seconds / self._done / max(1, replicas)


class Dispatcher:
    """A queue of calls to the model's replicas.

    While the replicas have enough calls to stay busy, texts of all requests gather in one open
    call. It is sent when it is full, when another call ends, or after `call_wait_s`, so calls are
    few under load and nobody waits without load. A long text has a call of its own, at once.
    A call is also full with one replica's share of all texts in flight: callers who are answered
    together ask again together, and their texts would else stay one large batch on one replica
    beside replicas that compute single texts.
    Beyond `max_calls_per_replica` calls are held here, where replicas that start later find them:
    a replica cannot take over what another one has accepted.

    It counts texts as `abandoned` that were not sent because every caller had left. `replied_at` is
    the monotonic time of the replicas' last reply; minus infinity before the first.
    """

    def __init__(
        self, classifier: ClassifierReplicas, estimator: WaitEstimator, settings: GatewaySettings
    ) -> None:
        self.settings = settings
        self.abandoned = 0
        self.replied_at = -math.inf
        self._classifier = classifier
        self._estimator = estimator
        self._open: SharedCall | None = None
        self._queue: list[SharedCall] = []
        self._under_way = 0
        self._order = AlternatingOrder()

    @property
    def held_chars(self) -> int:
        """Number of characters of the texts that no replica has been asked for yet."""
        return sum(len(text) for call in self._queue for text in call.texts_by_key.values())

    def submit(self, texts_by_key: Mapping[bytes, str], size: int) -> dict[bytes, SharedCall]:
        """Put texts of a request that has `size` characters on calls, which are returned by key."""
        settings, calls = self.settings, dict[bytes, SharedCall]()
        idle = self._classifier.replicas() - self._under_way
        spread = max(1, min(idle, len(texts_by_key) // MIN_SPREAD))
        for chunk in chunks(texts_by_key, settings.chunk_texts, settings.chunk_chars, spread):
            calls |= dict.fromkeys(chunk.texts_by_key, self._add(chunk, size))
            self._send_ready()
        return calls

    def remove_waiter(self, call: SharedCall, keys: Collection[bytes]) -> Collection[bytes]:
        """Stop counting a request, and return the keys that are given up without it."""
        abandoned = call.remove_waiter(keys)
        if not call.sent:
            self.abandoned += len(abandoned)
            if not call.texts_by_key:
                self._dequeue(call)
                call.result.cancel()
        elif call.waiters or call.cancelled or call.result.done():
            return ()
        else:
            call.cancel()
            abandoned = call.texts_by_key
        self._estimator.remove(abandoned.values())
        return abandoned

    def _add(self, chunk: Chunk, size: int) -> SharedCall:
        settings = self.settings
        max_chars = max(map(len, chunk.texts_by_key.values()))
        alone = max_chars > MAX_SHARED * settings.chunk_chars
        if self._open and not alone and self._open.filled + chunk.filled > 1:
            self._open = None
        call = self._open if self._open and not alone else self._start(alone=alone)
        call.add_texts(chunk, size)
        self._estimator.add(chunk.texts_by_key.values())
        full = call.filled + 1 / settings.chunk_texts > 1
        share = math.ceil(self._estimator.texts / max(1, self._classifier.replicas()))
        if call is self._open and (full or len(call.texts_by_key) >= max(MIN_SPREAD, share)):
            self._open = None
        return call

    def _start(self, *, alone: bool) -> SharedCall:
        call = SharedCall()
        # The open call stays the last one.
        self._queue.insert(len(self._queue) - (self._open is not None), call)
        if not alone:
            self._open = call
            asyncio.get_running_loop().call_later(
                self.settings.call_wait_s, self._set_overdue, call, context=Context()
            )
        return call

    def _set_overdue(self, call: SharedCall) -> None:
        call.overdue = True
        self._send_ready()

    def _has_room(self, calls_per_replica: int) -> bool:
        return self._under_way < max(1, self._classifier.replicas()) * calls_per_replica

    def _send_ready(self) -> None:
        while self._has_room(self.settings.max_calls_per_replica):
            room = self._has_room(self.settings.calls_per_replica)
            ready = [call for call in self._queue if call is not self._open or call.overdue or room]
            if not ready:
                return
            first, *_ = self._order.next(ready, lambda call: min(call.sizes.values()))
            self._send(ready[first])

    def _dequeue(self, call: SharedCall) -> None:
        self._queue.remove(call)
        if call is self._open:
            self._open = None

    def _send(self, call: SharedCall) -> None:
        self._dequeue(call)
        self._observe_time()
        self._under_way += 1
        # The call ends with its last waiter, who may have come as the first one's deadline passed.
        within_s = 2 * self.settings.deadline_s
        texts, sizes = list(call.texts_by_key.values()), list(call.sizes.values())
        task = call.send(self._classifier.classify(texts, within_s, sizes))
        task.add_done_callback(partial(self._done, call))

    def _done(self, call: SharedCall, task: asyncio.Task[CallReply]) -> None:
        call.done(task)
        held = self._observe_time()
        self._under_way -= 1
        if not call.cancelled:
            self._estimator.remove(call.texts_by_key.values())
        if not call.failed:
            self.replied_at = time.monotonic()
            if held:
                self._estimator.observe_done(call.texts_by_key.values())
        self._send_ready()

    def _observe_time(self) -> bool:
        """Count the time since a call was sent or ended; return whether calls were held in it."""
        held = not self._has_room(self.settings.max_calls_per_replica)
        self._estimator.observe_time(max(1, self._classifier.replicas()) if held else 0)
        return held
