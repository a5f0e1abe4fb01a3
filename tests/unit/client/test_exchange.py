from collections.abc import Generator

import pytest

from serve_app.client.errors import ConnectionFailed, DeadlinePassed, SentimentError, Unavailable
from serve_app.client.results import Reply
from serve_app.client.retry import NoReply, Outcome, RetryPolicy, Send, Wait, exchange

GOOD = Reply(200, {}, b"{}")
DOWN = NoReply("connection refused")
# Without jitter, so that only what the service asks for is waited.
EXACT = RetryPolicy(retries=3, base_s=0.0)


class Clock:
    """Time that passes as the steps say."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lead(
    outcomes: list[tuple[float, Outcome]], deadline: float = 60.0, policy: RetryPolicy = EXACT
) -> tuple[Reply | SentimentError, list[float]]:
    """Play the world: each attempt takes so long and ends so. Return the end and the waits."""
    clock = Clock()
    steps: Generator[Send | Wait, Outcome, Reply] = exchange(policy, deadline, "r-1", clock)
    waits: list[float] = []
    outcome: Outcome = None
    try:
        while True:
            match steps.send(outcome):
                case Send(timeout_s):
                    assert timeout_s == pytest.approx(deadline - clock.now)
                    seconds, outcome = outcomes.pop(0)
                    clock.now += seconds
                case Wait(seconds):
                    waits.append(seconds)
                    clock.now += seconds
                    outcome = None
    except StopIteration as end:
        reply: Reply = end.value
        return reply, waits
    except SentimentError as error:
        return error, waits


def busy(status: int = 503, **headers: str) -> Reply:
    return Reply(status, headers, b"")


def test_an_answer_ends_the_exchange() -> None:
    assert lead([(1.0, GOOD)]) == (GOOD, [])


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert lead([(0.1, busy(status)), (0.1, GOOD)]) == (GOOD, [0.0])


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 422, 500])
def test_what_will_not_pass_is_told_at_once(status: int) -> None:
    end, waits = lead([(0.1, busy(status))])
    assert isinstance(end, SentimentError)
    assert end.request_id == "r-1"
    assert waits == []


def test_the_service_is_given_the_time_it_asks_for() -> None:
    asked = {"retry-after": "5"}
    assert lead([(0.1, busy(429, **asked)), (0.1, busy(503, **asked)), (0.1, GOOD)])[1] == [5, 5]


def test_a_connection_that_fails_is_tried_again() -> None:
    assert lead([(0.1, DOWN), (0.1, DOWN), (0.1, GOOD)]) == (GOOD, [0.0, 0.0])


def test_what_the_client_cannot_send_is_not_sent_again() -> None:
    end, waits = lead([(0.1, NoReply("illegal header", may_pass=False))])
    assert isinstance(end, ConnectionFailed)
    assert waits == []


def test_retries_come_to_an_end() -> None:
    end, waits = lead([(0.1, DOWN)] * 4)
    assert isinstance(end, ConnectionFailed)
    assert len(waits) == 3


def test_nobody_waits_where_the_deadline_leaves_no_time_for_another_attempt() -> None:
    end, waits = lead([(0.1, busy(503, **{"retry-after": "30"}))], deadline=10.0)
    assert isinstance(end, Unavailable)
    assert waits == []


def test_an_attempt_that_takes_all_the_time_is_the_last() -> None:
    end, _ = lead([(10.0, NoReply("timeout"))], deadline=10.0)
    assert isinstance(end, DeadlinePassed)
