"""Circuit breaker: stop asking what does not answer, and notice when it does again."""

import time
from collections.abc import Callable
from typing import Literal

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
