"""When a request is sent again, and after how long."""

import random
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Final, NamedTuple

from serve_app.client import results as answer
from serve_app.client.errors import ConnectionFailed, DeadlinePassed, SentimentError
from serve_app.client.results import Reply

# Predictions are idempotent, so that each of these may be sent again. The service itself answers
# 429, 503 and 504, and 502 is what a proxy says of a replica that is being replaced.
RETRIED: Final = frozenset({429, 502, 503, 504})


class RetryPolicy(NamedTuple):
    """How often and how patiently a request is sent again.

    Attributes:
        retries: Most times that a request is sent again.
        base_s: Longest wait before the first of them; it doubles each time.
        cap_s: Longest wait of all, unless the service asks for more.
    """

    retries: int = 5
    base_s: float = 0.5
    cap_s: float = 10.0

    def wait_s(
        self, retry: int, asked_s: float | None, draw: Callable[[], float] = random.random
    ) -> float:
        """Return the seconds to wait before a retry.

        "Full jitter", which spreads clients that failed together the best:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        It is added to what the service asks for, which is the same for all of them.

        Args:
            retry: Number of the retry, from 0 on.
            asked_s: What `Retry-After` asks for.
            draw: Returns a random number in [0, 1).
        """
        # Far beyond any cap, a power of two is no float any more.
        longest_s = min(self.cap_s, self.base_s * 2.0 ** min(retry, 64))
        return (asked_s or 0.0) + draw() * longest_s


def retry_after_s(value: str | None, now: Callable[[], datetime] | None = None) -> float | None:
    """Read a `Retry-After` header: seconds or a date (RFC 9110, 10.2.3).

    Args:
        value: The header; None where the answer has none.
        now: Returns the present time.

    Returns:
        Seconds from now, or None where the header is absent or unreadable.
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    present = now() if now else datetime.now(UTC)
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - present).total_seconds())


class Send(NamedTuple):
    """Send the request, and wait for the answer so many seconds at most."""

    timeout_s: float


class Wait(NamedTuple):
    """Do nothing for so many seconds."""

    seconds: float


class NoReply(NamedTuple):
    """The connection failed, or the time was over; later there may be an answer, or never."""

    reason: str
    may_pass: bool = True


Outcome = Reply | NoReply | None


def exchange(
    policy: RetryPolicy,
    deadline: float,
    request_id: str,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Send | Wait, Outcome, Reply]:
    """Lead a request to its answer.

    Args:
        policy: How often and how patiently it is sent again.
        deadline: Time of the clock at which nobody waits for the answer any more.
        request_id: The request's `X-Request-ID`, the same for all attempts.
        clock: Returns the time.

    Yields:
        What to do next. After `Send`, what came of it is to be sent in; after `Wait`, None.

    Returns:
        The answer, with status 200.

    Raises:
        SentimentError: There is none.
    """
    for retry in count():
        left_s = deadline - clock()
        if left_s <= 0:
            break
        outcome = yield Send(left_s)
        asked_s: float | None = None
        match outcome:
            case Reply(status=answer.OK):
                return outcome
            case Reply():
                asked_s = retry_after_s(outcome.headers.get("retry-after"))
                error: SentimentError = answer.failure(outcome, request_id, asked_s)
                may_pass = outcome.status in RETRIED
            case _:
                error = ConnectionFailed(outcome.reason if outcome else "", request_id)
                may_pass = outcome is None or outcome.may_pass
        left_s = deadline - clock()
        if left_s <= 0:
            break
        wait_s = policy.wait_s(retry, asked_s)
        if not may_pass or retry >= policy.retries or wait_s >= left_s:
            raise error
        yield Wait(wait_s)
    raise DeadlinePassed("no answer within the deadline", request_id)
