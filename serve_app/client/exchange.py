"""One request with its retries, without any input or output.

The generator says what to do next and is told what came of it, so that the synchronous and the
asynchronous client share every decision, as in httpx's own authentication flows.
"""

import time
from collections.abc import Callable, Generator
from itertools import count
from typing import NamedTuple

from serve_app.client import answer
from serve_app.client.answer import Reply
from serve_app.client.errors import ConnectionFailed, DeadlinePassed, SentimentError
from serve_app.client.retry import RETRIED, RetryPolicy, retry_after_s


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
