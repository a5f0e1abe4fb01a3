"""The tier in the replica's own memory."""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cachetools import TLRUCache

from serve_app.scores import TextLogits


class _Entry(NamedTuple):
    value: TextLogits
    expires: float


class MemoryTier:
    """Bounded least-recently-used cache whose entries expire one by one.

    Not safe for threads: it belongs to one event loop.

    Args:
        max_entries: Most entries held; one more evicts the least recently used.
        clock: Monotonic time in seconds.

    Attributes:
        size: How many entries were held after the last change. To count them would expire some,
            which only the tier's own thread may do.
    """

    def __init__(self, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        self._clock = clock
        self._max_entries = max_entries
        # The library fixes its bound at construction, so the bound that can change is kept here.
        self._entries: TLRUCache[bytes, _Entry, float] = TLRUCache(
            math.inf, lambda _key, entry, _now: entry.expires, clock
        )

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, TextLogits]:
        """Return the values of the keys that are present and have not expired."""
        entries = ((key, self._entries.get(key)) for key in keys)
        return {key: entry.value for key, entry in entries if entry is not None}

    def set(self, key: bytes, value: TextLogits, lifetime_s: float) -> None:
        """Keep a value for at most `lifetime_s` seconds, in place of an older one."""
        self._entries[key] = _Entry(value, self._clock() + lifetime_s)
        self._evict()

    def resize(self, max_entries: int) -> None:
        """Change the bound; entries above it go, the least recently used first."""
        self._max_entries = max_entries
        self._evict()

    def _evict(self) -> None:
        while (size := len(self._entries)) > self._max_entries:
            self._entries.popitem()
        self.size = size
