"""The cache of scores: memory in front of an optional Redis.

A key is `sentiment:<key version>:<model digest>:<engine>:` and the 16 raw bytes of the text's
blake2b. Two models or engines never share a key, since the last part has a fixed length and an
engine's name has no colon. So several revisions can use one Redis, as they do during a rollout.

All integers and floats of a value in Redis are little-endian::

    offset  size  field
    0       2     magic, b"SL"
    2       1     format version
    3       1     flags; bit 0: the text was truncated
    4       1     number of labels n, modulo 256: the length says the rest
    5       4n    logits, float32
    5 + 4n  4     CRC-32 of key + all bytes above

The checksum covers the key, so that a value stored under another text's key is a miss, not a
wrong answer. It guards against accidents, not against someone who may write to the cache.
"""

import math
import struct
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from random import uniform
from typing import Final, Literal
from zlib import crc32

from cachetools import TLRUCache
from redis.exceptions import RedisError

from serve_app.cache.redis import RedisTier
from serve_app.errors import InvalidConfig
from serve_app.scores import TextLogits
from serve_app.settings import EngineName, GatewaySettings, check_cache_url

PREFIX: Final = "sentiment"
_KEY_VERSION: Final = 1
_MAGIC: Final = b"SL"
_VALUE_VERSION: Final = 1
_TRUNCATED: Final = 0b1
_CHECKSUM_BYTES: Final = 4


class KeySpace:
    """The keys of one model, by its digest, on one engine: engines differ in the last digits."""

    def __init__(self, digest: str, engine: EngineName) -> None:
        self._prefix = f"{PREFIX}:{_KEY_VERSION}:{digest}:{engine}:".encode()

    def key(self, text: str) -> bytes:
        """Return the key of a text, which is not normalized, since the model's input is not."""
        return self._prefix + blake2b(text.encode(), digest_size=16).digest()


def encode(key: bytes, value: TextLogits) -> bytes:
    """Pack logits, each finite and exact in float32, for storage under a key."""
    flags, count = _TRUNCATED if value.truncated else 0, len(value.logits)
    body = struct.pack(_form(count), _MAGIC, _VALUE_VERSION, flags, count % 256, *value.logits)
    return body + _checksum(key, body)


def decode(key: bytes, raw: bytes, labels: int) -> TextLogits | None:
    """Return the value of a model with so many labels; None unless it is intact and the key's."""
    form, body = _form(labels), raw[:-_CHECKSUM_BYTES]
    if len(body) != struct.calcsize(form) or raw != body + _checksum(key, body):
        return None
    magic, version, flags, count, *logits = struct.unpack(form, body)
    if (magic, version, count) != (_MAGIC, _VALUE_VERSION, labels % 256) or flags & ~_TRUNCATED:
        return None
    if not all(map(math.isfinite, logits)):
        return None
    return TextLogits(tuple(logits), truncated=bool(flags & _TRUNCATED))


def _form(labels: int) -> str:
    return f"<2sBBB{labels}f"


def _checksum(key: bytes, body: bytes) -> bytes:
    return crc32(body, crc32(key)).to_bytes(_CHECKSUM_BYTES, "little")


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
    def state(self) -> Literal["ok", "degraded", "off"]:
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
            value = decode(key, raw, self._labels)
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
            encoded = {key: encode(key, value) for key, value in items.items()}
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
