"""Redis: raw bytes, one round trip and one deadline for a call, a circuit breaker around it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection, RedisSSLContext, parse_url
from redis.exceptions import ResponseError

logger = logging.getLogger("serve_app.cache")

BreakerState = Literal["closed", "open", "half-open"]
Operation = Literal["read", "write", "probe"]

# Maximum of a replica; further calls wait for a connection, within their deadline.
MAX_CONNECTIONS: Final = 32
# Consecutive failures that open a breaker: one lost packet must not cost every hit.
FAILURES_TO_OPEN: Final = 5
# Seconds between probes of an open breaker: one request a second pays for the try.
COOLDOWN_S: Final = 1.0

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


class CircuitBreaker:
    """A count of consecutive failures that decides whether another attempt is worth it.

    After `FAILURES_TO_OPEN` failures in a row it is open and refuses attempts. Every `COOLDOWN_S`
    it lets one pass and is half-open until the outcome is known. A success closes it. An attempt
    without an outcome, because its caller was cancelled, delays the next probe by a cooldown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._probing = False
        self._next_probe = 0.0

    @property
    def state(self) -> BreakerState:
        """Whether attempts pass, are refused, or one is being tried."""
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


class _WriteRefused(Exception):
    """The server answered, but does not store: it is full, read-only or cannot persist."""


class RedisTier:
    """Values in Redis. A call never raises, and costs almost nothing while Redis is away.

    Connects on first use and belongs to the event loop that uses it first. A cancelled or
    timed-out call closes its connection, so that no later call can read its answer.
    It has two breakers, because a full or read-only Redis still answers reads.

    Attributes:
        timeout_s: Deadline of every call in seconds, which may be changed at any time.
        failures: Number of calls that failed or were too slow, by operation, in all.
        breakers: `read` shows whether Redis answers at all, `write` whether it takes writes.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.failures: dict[Operation, int] = {"read": 0, "write": 0, "probe": 0}
        self._answers, self._stores = CircuitBreaker(), CircuitBreaker()
        self.breakers = {"read": self._answers, "write": self._stores}
        self._probe_failed = False
        self._logged_state: Literal["ok", "degraded"] = "ok"
        options = {"max_connections": MAX_CONNECTIONS, **parse_url(url), **_FIXED_OPTIONS}
        self._client = Redis.from_pool(_ConnectionPool(**options))

    @property
    def state(self) -> Literal["ok", "degraded"]:
        """`degraded` while a breaker is not closed, or nothing succeeded since a failed probe."""
        closed = self._answers.state == self._stores.state == "closed"
        return "ok" if closed and not self._probe_failed else "degraded"

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values that Redis has and can give in time, by one `MGET`."""
        found: dict[bytes, bytes] = {}
        if self._answers.allow():
            async with self._attempt("read"):
                pairs = zip(keys, await self._client.mget(keys), strict=True)
                found = {key: reply for key, reply in pairs if isinstance(reply, bytes)}
        return found

    async def set_many(self, entries: Mapping[bytes, tuple[bytes, float]]) -> None:
        """Store values with lifetimes in seconds, if Redis takes them in time, by one pipeline."""
        if not (self._stores.allow() and self._answers.allow()):
            return
        pipeline = self._client.pipeline(transaction=False)
        for key, (value, lifetime_s) in entries.items():
            pipeline.set(key, value, px=max(1, round(lifetime_s * 1000)))
        async with self._attempt("write"):
            for reply in await pipeline.execute(raise_on_error=False):
                if isinstance(reply, ResponseError):
                    raise _WriteRefused(type(reply).__name__)

    async def probe(self) -> None:
        """Ping Redis, unless it was found silent less than a cooldown ago."""
        if self._answers.allow():
            async with self._attempt("probe"):
                await self._client.ping()

    async def aclose(self) -> None:
        """Close all connections."""
        with suppress(Exception):
            async with asyncio.timeout(self.timeout_s):
                await self._client.aclose()

    @asynccontextmanager
    async def _attempt(self, operation: Operation) -> AsyncIterator[None]:
        """End the block at the deadline, and record how it ended; no exception leaves it."""
        cause, answered = "", True
        try:
            async with asyncio.timeout(self.timeout_s):
                yield
        except _WriteRefused as error:
            cause = str(error)
        # Not only redis.RedisError: what a foreign server sends makes redis-py raise anything.
        except Exception as error:
            # The message is left out: a server's error text may repeat the password it was sent.
            cause, answered = type(error).__name__, False
        self.failures[operation] += bool(cause)
        (self._answers.success if answered else self._answers.failure)()
        if answered and operation == "write":
            (self._stores.failure if cause else self._stores.success)()
        self._probe_failed = not answered and (self._probe_failed or operation == "probe")
        if self.state == self._logged_state:
            return
        self._logged_state = self.state
        if self.state == "ok":
            logger.info("shared cache recovered")
        else:
            logger.warning("shared cache degraded: %s failed with %s", operation, cause)
