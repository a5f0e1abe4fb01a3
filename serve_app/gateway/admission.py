"""Admission: refuses requests that would wait too long, and counts the work that arrives."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from serve_app.dispatch.dispatcher import WaitEstimator
from serve_app.errors import Overloaded
from serve_app.settings import GatewaySettings

# Longer than the maximum `Retry-After`, `MAX_RETRY_AFTER_S`.
REMEMBERED_S: Final = 45.0
# Refused texts in one of two generations, at some 150 bytes each.
MAX_REMEMBERED: Final = 50_000


class Admission:
    """The decision whether a request's texts may wait for the model.

    It also counts `arrived_chars`, the characters that arrive for the model, which the number of
    replicas follows, refused ones included. A refused text that comes again counts once: the work
    that callers want does not grow with their attempts.
    """

    def __init__(
        self,
        estimator: WaitEstimator,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.arrived_chars = 0
        self._estimator = estimator
        self._clock = clock
        self._generation_started = clock()
        self._refused = set[bytes]()
        self._refused_before = set[bytes]()

    def check(self, texts_by_key: Mapping[bytes, str], waiting: int, replicas: int) -> None:
        """Count a request's texts that are neither cached nor being computed, and admit them.

        There are none if the request only waits for those of others. `waiting` is the number of
        requests that wait. Raises `Overloaded` if it is too large, or the wait would be too long.
        """
        in_flight, max_texts = self._estimator.texts, self.settings.max_pending_texts
        refused = in_flight and (
            in_flight + len(texts_by_key) > max_texts
            or waiting >= max_texts
            or (texts_by_key and self._takes_too_long(texts_by_key.values(), replicas))
        )
        if refused and (
            self._clock() - self._generation_started > REMEMBERED_S
            or len(self._refused) + len(texts_by_key) > MAX_REMEMBERED
        ):
            self._refused_before, self._refused = self._refused, set()
            self._generation_started = self._clock()
        self.arrived_chars += sum(
            len(text)
            for key, text in texts_by_key.items()
            if key not in self._refused and key not in self._refused_before
        )
        if refused:
            self._refused.update(texts_by_key)
            wait_s = self._estimator.wait_s(replicas)
            raise Overloaded(f"{in_flight} texts wait for the model.", wait_s or 0.0)
        self._refused.difference_update(texts_by_key)
        self._refused_before.difference_update(texts_by_key)

    def _takes_too_long(self, texts: Collection[str], replicas: int) -> bool:
        settings, work = self.settings, self._estimator.work(texts)
        # Twice, so that a small request still finds room where a large one does not.
        wait_s = self._estimator.wait_s(replicas, 2 * work)
        if wait_s is not None:
            return wait_s > settings.max_wait_s
        # No wait was measured yet.
        asked = settings.max_calls_per_replica * settings.chunk_chars * max(1, replicas)
        return self._estimator.pending + work > 2 * asked
