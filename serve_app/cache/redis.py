"""The tier in Redis: raw bytes, one round trip per call, one deadline per call."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection, RedisSSLContext, parse_url
from redis.exceptions import ResponseError

MAX_CONNECTIONS = 32
"""Most connections of a replica; further calls wait for one, within their deadline."""

_FIXED_OPTIONS: dict[str, Any] = {
    # Waiting for a connection, connecting, writing and reading share one deadline, set around the
    # whole call. redis-py's own write timeout is asyncio.wait_for, which can swallow a
    # cancellation before Python 3.12: https://github.com/python/cpython/issues/86296
    "timeout": None,
    "socket_timeout": None,
    "socket_connect_timeout": None,
    # With RESP3 redis-py subscribes to maintenance messages and then no longer refuses a pooled
    # connection on which an unread answer is waiting.
    "protocol": 2,
    "driver_info": None,
    "decode_responses": False,
    "retry_on_timeout": False,
}


class SharedTierError(Exception):
    """The shared tier did not do what was asked.

    The message is the name of the cause's class. The cause itself is left out: a server's
    error text may repeat the password that it was sent.
    """


class WriteRefused(SharedTierError):
    """The server answered, but will not store: it is full, read-only or cannot persist."""


class RedisTier:
    """Reads and writes many keys at once, each call within one deadline.

    Connects on first use and belongs to the event loop that uses it first, not to the place
    where it is constructed. A cancelled or timed-out call closes its connection, so that no
    later call can read its answer.

    Args:
        url: `redis://` or `rediss://`, with redis-py's options in the query.
        timeout_s: Deadline of every call in seconds; may be changed at any time.

    Raises:
        ValueError, TypeError, OSError, redis.RedisError: The URL or an option is of no use.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        options = {"max_connections": MAX_CONNECTIONS, **parse_url(url), **_FIXED_OPTIONS}
        self._client = Redis.from_pool(_ConnectionPool(**options))

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that hold one, by one `MGET`.

        Args:
            keys: At least one key.

        Raises:
            SharedTierError: The server is unreachable, too slow, or answers with an error.
        """
        async with self._deadline():
            replies = await self._client.mget(keys)
            pairs = zip(keys, replies, strict=True)
            return {key: reply for key, reply in pairs if isinstance(reply, bytes)}

    async def set_many(self, entries: Mapping[bytes, tuple[bytes, float]]) -> None:
        """Store values with their lifetimes in seconds, by one pipeline of `SET … PX`.

        Args:
            entries: At least one key with its value and lifetime.

        Raises:
            WriteRefused: The server refused at least one value.
            SharedTierError: The server is unreachable or too slow.
        """
        pipeline = self._client.pipeline(transaction=False)
        for key, (value, lifetime_s) in entries.items():
            pipeline.set(key, value, px=max(1, round(lifetime_s * 1000)))
        async with self._deadline():
            replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise WriteRefused(type(reply).__name__)

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            SharedTierError: The server is unreachable, too slow, or answers with an error.
        """
        async with self._deadline():
            await self._client.ping()

    async def aclose(self) -> None:
        """Close all connections."""
        with suppress(SharedTierError):
            async with self._deadline():
                await self._client.aclose()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.timeout_s):
                yield
        # Not only redis.RedisError: what a foreign server sends makes redis-py raise anything.
        except Exception as error:
            raise SharedTierError(type(error).__name__) from None


class _ConnectionPool(BlockingConnectionPool):
    """Connections share one TLS context: to load the CA certificates blocks for some 40 ms."""

    def __init__(self, **options: Any) -> None:
        self._tls: RedisSSLContext | None = None
        super().__init__(**options)
        # A wrong option or a missing certificate is to be found now, not by each later call.
        self.make_connection()
        if self._tls is not None:
            self._tls.get()

    def make_connection(self) -> AbstractConnection:
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]
        if isinstance(connection, SSLConnection):
            self._tls = self._tls or connection.ssl_context
            connection.ssl_context = self._tls
        return connection
