"""Redis behind circuit breakers: it can help a request, never harm it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

from serve_app.cache.breaker import CircuitBreaker
from serve_app.cache.redis import RedisTier, SharedTierError, WriteRefused

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
