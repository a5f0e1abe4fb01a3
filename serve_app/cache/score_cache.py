"""The cache of scores: memory in front of an optional Redis."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import uniform
from typing import Literal

from cachetools import TLRUCache
from redis.exceptions import RedisError

from serve_app.cache import codec
from serve_app.cache.redis import RedisTier
from serve_app.errors import InvalidConfig
from serve_app.scores import TextLogits
from serve_app.settings import GatewaySettings, check_cache_url

CacheState = Literal["ok", "degraded", "off"]


class MemoryTier:
    """An LRU of scores, each with a lifetime of its own; it belongs to one thread.

    Any thread may read `size`, the number of entries after the last change: to count expires some.
    """

    def __init__(self, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        self._clock = clock
        self._max_entries = max_entries
        # The library fixes its bound at construction, so the bound that can change is kept here.
        self._entries: TLRUCache[bytes, tuple[TextLogits, float], float] = TLRUCache(
            math.inf, lambda _key, entry, _now: entry[1], clock
        )

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, TextLogits]:
        """Return the values of the keys that are present and have not expired."""
        entries = ((key, self._entries.get(key)) for key in keys)
        return {key: entry[0] for key, entry in entries if entry is not None}

    def set(self, key: bytes, value: TextLogits, lifetime_s: float) -> None:
        """Keep a value for at most `lifetime_s` seconds, in place of an older one."""
        self._entries[key] = (value, self._clock() + lifetime_s)
        self._evict()

    def resize(self, max_entries: int) -> None:
        """Change the bound; the least recently used entries above it go."""
        self._max_entries = max_entries
        self._evict()

    def _evict(self) -> None:
        while (size := len(self._entries)) > self._max_entries:
            self._entries.popitem()
        self.size = size


class ScoreCache:
    """Scores by key. A failure of Redis means that less is found or kept, never an error."""

    def __init__(
        self, labels: int, settings: GatewaySettings, shared: RedisTier | None = None
    ) -> None:
        self.memory = MemoryTier(settings.cache_memory_entries)
        self.shared = shared
        self.memory_hits = self.shared_hits = 0
        self._labels = labels
        self._settings = settings

    @property
    def state(self) -> CacheState:
        """State of the shared tier; `off` where none is configured."""
        return "off" if self.shared is None else self.shared.state

    @property
    def problem(self) -> str:
        """Words for what is wrong with the shared tier; empty unless it is degraded."""
        return "" if self.shared is None else self.shared.problem

    def get_cached(self, keys: Collection[bytes]) -> dict[bytes, TextLogits] | None:
        """Return the values of all keys if memory has them, else None."""
        found = self.memory.get_many(keys)
        if len(found) < len(keys):
            return None
        self.memory_hits += len(found)
        return found

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, TextLogits]:
        """Return what is cached, within `cache_timeout_s`, and keep it in memory."""
        found = self.memory.get_many(keys)
        self.memory_hits += len(found)
        missing = [key for key in keys if key not in found]
        if not missing or self.shared is None:
            return found
        for key, raw in (await self.shared.get_many(missing)).items():
            value = codec.decode(key, raw, self._labels)
            if value is not None:
                self.memory.set(key, value, self._lifetime_s())
                found[key] = value
                self.shared_hits += 1
        return found

    async def set_many(self, items: Mapping[bytes, TextLogits]) -> None:
        """Keep values in memory and, within `cache_timeout_s`, in the shared tier."""
        for key, value in items.items():
            self.memory.set(key, value, self._lifetime_s())
        if items and self.shared is not None:
            encoded = {key: codec.encode(key, value) for key, value in items.items()}
            await self.shared.set_many({k: (raw, self._lifetime_s()) for k, raw in encoded.items()})

    async def probe(self) -> None:
        """Bring `state` up to date, within `cache_timeout_s`."""
        if self.shared is not None:
            await self.shared.probe()

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Apply other settings; entries that are already cached keep their lifetime."""
        self._settings = settings
        self.memory.resize(settings.cache_memory_entries)
        if self.shared is not None:
            self.shared.timeout_s = settings.cache_timeout_s

    async def aclose(self) -> None:
        """Close the connections to the shared tier."""
        if self.shared is not None:
            await self.shared.aclose()

    def _lifetime_s(self) -> float:
        jitter = self._settings.cache_ttl_jitter
        return self._settings.cache_ttl_s * uniform(1 - jitter, 1 + jitter)


def open_cache(url: str, labels: int, settings: GatewaySettings) -> ScoreCache:
    """Return the cache that a URL names; nothing connects before the first call.

    Raises `InvalidConfig` if the URL has another form or an option that the Redis client refuses,
    without the URL, which may hold a password.
    """
    try:
        check_cache_url(url)
        shared = None if url == "memory://" else RedisTier(url, settings.cache_timeout_s)
    except (ValueError, TypeError, OSError, RedisError) as error:
        raise InvalidConfig(
            f"the cache URL has a wrong form or option ({type(error).__name__})",
            "use memory://, redis://host:port/db or rediss://host:port/db with redis-py's options",
        ) from None
    return ScoreCache(labels, settings, shared)
