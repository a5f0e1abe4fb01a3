"""The cache as the gateway sees it: memory in front of an optional shared tier."""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Literal

from redis.exceptions import RedisError

from serve_app.cache import codec
from serve_app.cache.memory import MemoryTier
from serve_app.cache.redis import RedisTier, SharedTier
from serve_app.errors import InvalidConfig
from serve_app.scores import TextLogits
from serve_app.settings import GatewaySettings, check_cache_url

CacheState = Literal["ok", "degraded", "off"]


class ScoreCache:
    """Scores by key. Whatever happens to Redis, a call only finds or keeps less.

    Args:
        labels: Number of labels of the model; values with another number are misses.
        settings: Lifetime, jitter, bound of the memory tier.
        shared: Tier that replicas share, if there is one; closed with this cache.
        random: Source of the jitter.

    Attributes:
        shared: Tier that replicas share, if there is one.
        memory_hits: How many values were found in memory, in all.
        shared_hits: How many were found in the shared tier, in all.
    """

    def __init__(
        self,
        labels: int,
        settings: GatewaySettings,
        shared: SharedTier | None = None,
        random: Random | None = None,
    ) -> None:
        self._labels = labels
        self._settings = settings
        self._memory = MemoryTier(settings.cache_memory_entries)
        self.shared = shared
        self.memory_hits = 0
        self.shared_hits = 0
        self._random = random or Random()

    @property
    def state(self) -> CacheState:
        """State of the shared tier; `off` where none is configured."""
        return "off" if self.shared is None else self.shared.state

    @property
    def memory_entries(self) -> int:
        """How many values memory holds."""
        return self._memory.size

    def recall(self, keys: Collection[bytes]) -> dict[bytes, TextLogits] | None:
        """Return what is cached, from memory alone; None unless all keys are there."""
        found = self._memory.get_many(keys)
        if len(found) < len(keys):
            return None
        self.memory_hits += len(found)
        return found

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, TextLogits]:
        """Return what is cached, within `cache_timeout_s`; absent keys are misses.

        A value found in the shared tier is then kept in memory.
        """
        found = self._memory.get_many(keys)
        self.memory_hits += len(found)
        missing = [key for key in keys if key not in found]
        if not missing or self.shared is None:
            return found
        for key, raw in (await self.shared.get_many(missing)).items():
            value = codec.decode(key, raw, self._labels)
            if value is not None:
                self._memory.set(key, value, self._lifetime_s())
                found[key] = value
                self.shared_hits += 1
        return found

    async def set_many(self, items: Mapping[bytes, TextLogits]) -> None:
        """Keep values in memory and, within `cache_timeout_s`, in the shared tier."""
        for key, value in items.items():
            self._memory.set(key, value, self._lifetime_s())
        if items and self.shared is not None:
            await self.shared.set_many(
                {
                    key: (codec.encode(key, value), self._lifetime_s())
                    for key, value in items.items()
                }
            )

    async def probe(self) -> None:
        """Bring `state` up to date, within `cache_timeout_s`."""
        if self.shared is not None:
            await self.shared.probe()

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Apply other settings; entries that are already cached keep their lifetime."""
        self._settings = settings
        self._memory.resize(settings.cache_memory_entries)
        if self.shared is not None:
            self.shared.reconfigure(settings.cache_timeout_s)

    async def aclose(self) -> None:
        """Close the connections to the shared tier."""
        if self.shared is not None:
            await self.shared.aclose()

    def _lifetime_s(self) -> float:
        jitter = self._settings.cache_ttl_jitter
        return self._settings.cache_ttl_s * self._random.uniform(1 - jitter, 1 + jitter)


def open_cache(url: str, labels: int, settings: GatewaySettings) -> ScoreCache:
    """Return the cache that a URL names; nothing connects before the first call.

    Args:
        url: `memory://`, `redis://…` or `rediss://…`.
        labels: Number of labels of the model.
        settings: Lifetime, jitter, bound of the memory tier, deadline of the shared one.

    Raises:
        InvalidConfig: The URL has another form or an option that the Redis client refuses. The
            message does not repeat it, since it may hold a password.
    """
    try:
        check_cache_url(url)
        if url == "memory://":
            return ScoreCache(labels, settings)
        return ScoreCache(labels, settings, SharedTier(RedisTier(url, settings.cache_timeout_s)))
    except (ValueError, TypeError, OSError, RedisError) as error:
        raise InvalidConfig(
            f"the cache URL has a wrong form or option ({type(error).__name__})",
            "use memory://, redis://host:port/db or rediss://host:port/db with redis-py's options",
        ) from None
