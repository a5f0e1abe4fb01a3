"""Redis: raw bytes, one round trip and one deadline for a call, a circuit breaker around it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, SSLConnection
from redis.asyncio.connection import AbstractConnection, RedisSSLContext, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterCrossSlotError, MovedError, ResponseError

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
# A cluster's client has other ways to find these.
_NOT_OF_CLUSTER: Final = {"timeout", "retry_on_timeout", "connection_class"}
_FROM_CLUSTER: Final = (ClusterCrossSlotError, MovedError)

# A read that finds nothing; permissions and slots are those of all keys.
PROBE_KEY: Final = b"sentiment:ready?"

# The words for an error, by its class or a part of its text.
_WORDS: Final = (
    ("NoPermissionError", "its user needs +mget +set ~sentiment:*, in a cluster +get +command too"),
    ("RedisClusterException", "no node tells the cluster's slots; a user needs +cluster|slots"),
    ("AuthenticationError", "it refuses the user or the password"),
    ("unknown command", "it does not know MGET or SET; is it a sentinel? name the Redis itself"),
    ("'db' must be 0", "a cluster has the database 0 alone; write redis://host:port/0"),
    ("SELECT is not allowed", "a cluster has the database 0 alone; write redis://host:port/0"),
    ("DB index is out of range", "it has no database of this number"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not known; add ?ssl_ca_certs=FILE"),
    ("SSL", "it does not speak TLS; write redis://"),
    ("onnection closed", "it closes connections; does it want TLS, rediss://?"),
    ("Connection reset", "it closes connections; does it want TLS, rediss://?"),
    ("ReadOnlyError", "it is a read-only replica; name the primary"),
    ("OutOfMemoryError", "it is full; raise maxmemory, or let it evict with allkeys-lru"),
    ("MISCONF", "it cannot save to its disk"),
    ("BusyLoadingError", "it loads its data"),
    ("ClusterDown", "the cluster is down"),
    ("protected mode", "it is in protected mode, without a password"),
    ("max number of clients", "it has too many clients"),
    ("TimeoutError", "no answer in time"),
    ("ConnectionError", "no connection"),
)


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
        return self._with_tls(connection)

    def secured(self, **options: Any) -> AbstractConnection:
        """Return a connection to a node of a cluster, with the same TLS context."""
        return self._with_tls(SSLConnection(**options))

    def _with_tls(self, connection: AbstractConnection) -> AbstractConnection:
        if isinstance(connection, SSLConnection):
            self._tls = self._tls or connection.ssl_context
            connection.ssl_context = self._tls
        return connection


class _WriteRefused(Exception):
    """The server answered, but does not store: it is full, read-only or cannot persist."""


class RedisTier:
    """Values in a Redis or a Redis cluster, which says itself that it is one.

    A call never raises, and costs almost nothing while Redis is away.

    Connects on first use and belongs to the event loop that uses it first. A cancelled or
    timed-out call closes its connection, so that no later call can read its answer.
    It has two breakers, because a full or read-only Redis still answers reads: `read` shows whether
    Redis answers at all, `write` whether it takes writes. `failures` counts calls that failed or
    were too slow. The deadline of every call, `timeout_s`, may be changed at any time.
    `problem` has words for the last failure while the state is `degraded`.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.failures: dict[Operation, int] = {"read": 0, "write": 0, "probe": 0}
        self._answers, self._stores = CircuitBreaker(), CircuitBreaker()
        self.breakers = {"read": self._answers, "write": self._stores}
        self.problem = ""
        self._probe_failed = False
        self._logged_state: Literal["ok", "degraded"] = "ok"
        self._options = {"max_connections": MAX_CONNECTIONS, **parse_url(url), **_FIXED_OPTIONS}
        self._is_tls = self._options.get("connection_class") is SSLConnection
        self._pool = _ConnectionPool(**self._options)
        self._client = Redis.from_pool(self._pool)
        self._cluster: RedisCluster | None = None
        # A cluster's client raises where a pool waits for a connection.
        self._calls = asyncio.Semaphore(self._options["max_connections"])

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
                pairs = zip(keys, await self._get(keys), strict=True)
                found = {key: reply for key, reply in pairs if isinstance(reply, bytes)}
        return found

    async def set_many(self, entries: Mapping[bytes, tuple[bytes, float]]) -> None:
        """Store values with lifetimes in seconds, if Redis takes them in time, by one pipeline."""
        # Whether Redis answers again is for a read to find out.
        if self._answers.state != "closed" or not self._stores.allow():
            return
        async with self._attempt("write"):
            for reply in await self._set(entries):
                if isinstance(reply, ResponseError):
                    raise _WriteRefused(self._in_words(reply))
                if isinstance(reply, Exception):
                    raise reply

    async def probe(self) -> None:
        """Read from Redis, unless it was found silent less than a cooldown ago."""
        if self._answers.allow():
            async with self._attempt("probe"):
                await self._get([PROBE_KEY])

    async def _get(self, keys: Sequence[bytes]) -> list[Any]:
        if self._cluster is None:
            try:
                return list(await self._client.mget(keys))
            except _FROM_CLUSTER:
                self._cluster = self._cluster or self._open_cluster()
        pipeline = self._cluster.pipeline()
        for key in keys:
            pipeline.get(key)
        async with self._calls:
            return list(await pipeline.execute())

    async def _set(self, entries: Mapping[bytes, tuple[bytes, float]]) -> list[Any]:
        pipeline: Any = (self._cluster or self._client).pipeline(transaction=False)
        for key, (value, lifetime_s) in entries.items():
            pipeline.set(key, value, px=max(1, round(lifetime_s * 1000)))
        async with self._calls:
            replies = list(await pipeline.execute(raise_on_error=False))
        if self._cluster is None and any(isinstance(reply, _FROM_CLUSTER) for reply in replies):
            self._cluster = self._cluster or self._open_cluster()
            return await self._set(entries)
        return replies

    def _in_words(self, error: Exception) -> str:
        """Return why a call failed, without the error's text, which may repeat what it was sent."""
        name, text = type(error).__name__, str(error)
        words = next((words for sign, words in _WORDS if sign == name or sign in text), name)
        if isinstance(error, TimeoutError) and self._is_tls:
            words += "; does it speak TLS?"
        elif isinstance(error, TimeoutError) and self._cluster is not None:
            words += "; are all nodes of the cluster up?"
        return words if words == name else f"{words} ({name})"

    def _open_cluster(self) -> RedisCluster:
        options = {name: self._options[name] for name in self._options.keys() - _NOT_OF_CLUSTER}
        # The deadline of a call leaves no time to wait.
        retry = Retry(NoBackoff(), 1)
        cluster = RedisCluster(**options, ssl=self._is_tls, retry=retry)
        if self._is_tls:
            cluster.connection_kwargs["connection_class"] = self._pool.secured
            for node in cluster.startup_nodes:
                node.connection_class = self._pool.secured  # type: ignore[assignment]
        logger.info("the shared cache is a Redis cluster")
        return cluster

    async def aclose(self) -> None:
        """Close all connections."""
        with suppress(Exception):
            async with asyncio.timeout(self.timeout_s):
                await self._client.aclose()
                if self._cluster is not None:
                    await self._cluster.aclose()

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
            cause, answered = self._in_words(error), False
        self.failures[operation] += bool(cause)
        if operation == "write" and answered:
            (self._stores.failure if cause else self._stores.success)()
        else:
            # A server that stores may still refuse to be read.
            (self._answers.success if answered else self._answers.failure)()
            self._probe_failed = not answered and (self._probe_failed or operation == "probe")
        self.problem = "" if self.state == "ok" else cause or self.problem
        if self.state == self._logged_state:
            return
        self._logged_state = self.state
        if self.state == "ok":
            logger.info("shared cache recovered")
        else:
            logger.warning("shared cache degraded: %s failed: %s", operation, cause)
