"""Coalescing: requests that ask for the same text share one computation."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from serve_app.dispatch.calls import SharedCall
from serve_app.dispatch.dispatcher import Dispatcher
from serve_app.scores import TextLogits
from serve_app.telemetry.tracing import link

# It imports redis-py, which imports OpenTelemetry where that is installed.
if TYPE_CHECKING:
    from serve_app.cache.score_cache import ScoreCache


class ModelScores(NamedTuple):
    """The model's results for one request by key, None for a failed text, and maximum times."""

    logits: dict[bytes, TextLogits | None]
    queue_ms: float
    inference_ms: float


class Coalescer:
    """The texts that are being computed, by key, and counts of those `started` and `joined`.

    No request owns a call: the request that started it may leave, and the call goes on as long
    as another request waits for it. It is cancelled when the last one leaves.
    """

    def __init__(self, dispatcher: Dispatcher, cache: "ScoreCache") -> None:
        self.started = self.joined = self.waiting = 0
        self._dispatcher = dispatcher
        self._cache = cache
        self._calls: dict[bytes, SharedCall] = {}
        self._ends: dict[SharedCall, asyncio.Task[None]] = {}

    @property
    def texts_in_flight(self) -> int:
        """Number of distinct texts that are being computed, or wait for it."""
        return len(self._calls)

    def absent(self, texts_by_key: Mapping[bytes, str]) -> dict[bytes, str]:
        """Return the texts that are not being computed by a call that a request may join."""
        # A call ends after twice this time, so that an older one could end before a joining
        # request's deadline.
        oldest = asyncio.get_running_loop().time() - self._dispatcher.settings.deadline_s
        return {
            key: text
            for key, text in texts_by_key.items()
            if not (call := self._calls.get(key)) or call.sent_at < oldest
        }

    async def score(
        self, texts_by_key: Mapping[bytes, str], absent: Mapping[bytes, str]
    ) -> ModelScores:
        """Start the absent texts, and wait for all; raises the `ServiceError` of a failed call."""
        size = sum(map(len, texts_by_key.values()))
        self.started += len(absent)
        self.joined += len(texts_by_key) - len(absent)
        started = self._dispatcher.submit(absent, size)
        self._calls |= started
        for call in set(started.values()) - self._ends.keys():
            self._ends[call] = asyncio.get_running_loop().create_task(self._end(call))
        calls: dict[SharedCall, list[bytes]] = {}
        for key in texts_by_key:
            calls.setdefault(self._calls[key], []).append(key)
        for call, keys in calls.items():
            call.add_waiter(keys, size)
        self.waiting += 1
        try:
            link(call.origin for call in calls)
            # wait() leaves the results alone when the caller is cancelled; gather() would not.
            await asyncio.wait([call.result for call in calls], return_when=asyncio.FIRST_EXCEPTION)
            return _collect(calls)
        finally:
            self.waiting -= 1
            for call, keys in calls.items():
                self._forget(call, self._dispatcher.remove_waiter(call, keys))

    async def aclose(self) -> None:
        """Finish pending writes to the cache."""
        await asyncio.gather(*(end for call, end in self._ends.items() if call.result.done()))

    async def _end(self, call: SharedCall) -> None:
        """Wait for a call, forget it, and cache its scores, even if its requests have left."""
        await asyncio.wait([call.result])
        self._forget(call, call.texts_by_key)
        if not call.failed:
            scores = call.scores().items()
            await self._cache.set_many({key: logits for key, logits in scores if logits})
        del self._ends[call]

    def _forget(self, call: SharedCall, keys: Collection[bytes]) -> None:
        for key in keys:
            if self._calls.get(key) is call:
                del self._calls[key]


def _collect(calls: Mapping[SharedCall, Sequence[bytes]]) -> ModelScores:
    # Where one call has failed, others may still be under way: its error is the request's.
    ended = sorted(calls, key=lambda call: not call.failed)
    scores = [call.scores() for call in ended]
    return ModelScores(
        {key: found[key] for call, found in zip(ended, scores, strict=True) for key in calls[call]},
        max(call.queue_ms + call.result.result().queue_ms for call in ended),
        max(call.result.result().inference_ms for call in ended),
    )
