"""The retries of a request: whether there is another attempt, and after how long."""

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from serve_app.client.errors import (
    ConnectionFailed,
    DeadlinePassed,
    Overloaded,
    SentimentError,
    ServerTimeout,
    StatusError,
    Unavailable,
)

# Predictions are idempotent, so that a request may be repeated after each of these.
RETRYABLE: Final = (ConnectionFailed, Overloaded, Unavailable, ServerTimeout)


class RetryPolicy(NamedTuple):
    """The number of retries and the waits between them.

    Attributes:
        retries: Maximum number of repetitions.
        base_s: Maximum wait before the first one; it doubles each time.
        cap_s: Maximum of all waits, unless the service asks for more.
    """

    retries: int = 5
    base_s: float = 0.5
    cap_s: float = 10.0

    def wait_s(
        self, retry: int, asked_s: float | None, draw: Callable[[], float] = random.random
    ) -> float:
        """Return the seconds to wait before a retry, numbered from 0 on.

        "Full jitter", which spreads clients that failed together the best:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        It is added to `asked_s`, the value of `Retry-After`, which is the same for all of them.
        `draw` returns a random number in [0, 1).
        """
        # A float cannot hold a power of two far beyond any cap.
        max_s = min(self.cap_s, self.base_s * 2.0 ** min(retry, 64))
        return (asked_s or 0.0) + draw() * max_s


class Attempts:
    """The attempts of one request until a deadline, a time of `clock` in seconds."""

    def __init__(
        self,
        policy: RetryPolicy,
        deadline: float,
        request_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._deadline = deadline
        self._request_id = request_id
        self._clock = clock
        self._retries = 0

    def left_s(self) -> float:
        """Return the seconds until the deadline.

        Raises:
            DeadlinePassed: The deadline has passed.
        """
        left_s = self._deadline - self._clock()
        if left_s <= 0:
            raise DeadlinePassed("no answer within the deadline", self._request_id)
        return left_s

    def wait_s(self, error: SentimentError) -> float:
        """Return the seconds to wait after an attempt with a retryable error.

        Raises:
            SentimentError: There is no next attempt: this error, or `DeadlinePassed`.
        """
        left_s = self.left_s()
        asked_s = error.retry_after_s if isinstance(error, StatusError) else None
        wait_s = self._policy.wait_s(self._retries, asked_s)
        if error.final or self._retries >= self._policy.retries or wait_s >= left_s:
            raise error
        self._retries += 1
        return wait_s
