"""The tier in Redis: raw bytes, one round trip per call, one deadline per call."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, TypeVar

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


BreakerState = Literal["closed", "open", "half-open"]

FAILURES_TO_OPEN = 5
"""Consecutive failures that open a breaker: one lost packet must not cost every hit."""

COOLDOWN_S = 1.0
"""Seconds between probes of an open breaker: one request a second pays for the try."""


class CircuitBreaker:
    """Counts consecutive failures and decides whether another attempt is worth it.

    Closed, it lets every attempt pass. After `FAILURES_TO_OPEN` failures in a row it is open and
    refuses attempts; each `COOLDOWN_S` it lets one pass and is half-open until that one's outcome
    is known. A success closes it. An attempt that never reports an outcome, because its caller
    was cancelled, only delays the next probe by another cooldown.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._probing = False
        self._next_probe = 0.0

    @property
    def state(self) -> BreakerState:
        """Whether attempts pass (closed), are refused (open) or one is being tried (half-open)."""
        if self._failures < FAILURES_TO_OPEN:
            return "closed"
        return "half-open" if self._probing else "open"

    def allow(self) -> bool:
        """Return whether to make an attempt; the caller then reports its outcome."""
        if self.state == "closed":
            return True
        if self._clock() < self._next_probe:
            return False
        self._probing = True
        self._next_probe = self._clock() + COOLDOWN_S
        return True

    def success(self) -> None:
        """Report an attempt that succeeded."""
        self._failures = 0
        self._probing = False

    def failure(self) -> None:
        """Report an attempt that failed."""
        self._failures += 1
        self._probing = False
        self._next_probe = self._clock() + COOLDOWN_S


logger = logging.getLogger("serve_app.cache")

Operation = Literal["read", "write", "probe"]
T = TypeVar("T")


class SharedTier:
    """What `RedisTier` does, without raising, and almost free while Redis is away.

    Two breakers, because a full or read-only Redis still answers reads: one for whether the
    server answers at all, one for whether it takes writes.

    Args:
        redis: The tier to guard; closed with this one.

    Attributes:
        failures: How many calls failed or were too slow, in all, by operation.
    """

    def __init__(self, redis: RedisTier) -> None:
        self.failures: dict[Operation, int] = {"read": 0, "write": 0, "probe": 0}
        self._redis = redis
        self._answers = CircuitBreaker()
        self._stores = CircuitBreaker()
        self._probe_failed = False
        self._logged_state: Literal["ok", "degraded"] = "ok"

    @property
    def state(self) -> Literal["ok", "degraded"]:
        """`degraded` while a breaker is not closed, or nothing succeeded since a failed probe."""
        closed = self._answers.state == self._stores.state == "closed"
        return "ok" if closed and not self._probe_failed else "degraded"

    @property
    def breakers(self) -> dict[str, CircuitBreaker]:
        """The breaker of each operation that has one: reads show whether Redis answers at all."""
        return {"read": self._answers, "write": self._stores}

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values that Redis has and can give in time."""
        if not self._answers.allow():
            return {}
        return await self._attempt("read", partial(self._redis.get_many, keys)) or {}

    async def set_many(self, entries: Mapping[bytes, tuple[bytes, float]]) -> None:
        """Store values with their lifetimes in seconds, if Redis takes them in time."""
        if self._stores.allow() and self._answers.allow():
            await self._attempt("write", partial(self._redis.set_many, entries))

    async def probe(self) -> None:
        """Ping Redis, unless it was found silent less than a cooldown ago."""
        if self._answers.allow():
            await self._attempt("probe", self._redis.ping)

    def reconfigure(self, timeout_s: float) -> None:
        """Change the deadline, in seconds, of later calls."""
        self._redis.timeout_s = timeout_s

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _attempt(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T | None:
        try:
            result = await call()
        except SharedTierError as error:
            self._record(operation, error)
            return None
        self._record(operation, None)
        return result

    def _record(self, operation: Operation, error: SharedTierError | None) -> None:
        if error is not None:
            self.failures[operation] += 1
        if error is None or isinstance(error, WriteRefused):
            self._answers.success()
            self._probe_failed = False
            if operation == "write":
                (self._stores.failure if error else self._stores.success)()
        else:
            self._answers.failure()
            self._probe_failed |= operation == "probe"
        self._log_change(operation, error)

    def _log_change(self, operation: Operation, error: SharedTierError | None) -> None:
        if self.state == self._logged_state:
            return
        self._logged_state = self.state
        if self.state == "ok":
            logger.info("shared cache recovered")
        else:
            logger.warning("shared cache degraded: %s failed with %s", operation, error)
