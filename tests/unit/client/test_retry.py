from collections.abc import Sequence

import pytest

from serve_app.client.errors import (
    ConnectionFailed,
    DeadlinePassed,
    SentimentError,
    StatusError,
    Unavailable,
)
from serve_app.client.request import RETRYABLE, Attempts, RetryPolicy
from serve_app.client.results import Reply, raise_for_status

DOWN = ConnectionFailed("connection refused", "r-1")
# Without jitter, only the time that the service asks for is waited.
EXACT = RetryPolicy(retries=3, base_s=0.0)


class Clock:
    """A clock that a test sets, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def play(
    outcomes: Sequence[tuple[float, SentimentError | None]], deadline: float = 60.0
) -> tuple[SentimentError | None, list[float]]:
    """Play attempts, each with its seconds and its outcome; return the last one and the waits."""
    clock = Clock()
    attempts = Attempts(EXACT, deadline, "r-1")
    waits: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve_app.client.request.time", clock)
        try:
            for seconds, error in outcomes:
                assert attempts.left_s() == pytest.approx(deadline - clock.now)
                clock.now += seconds
                if error is None:
                    break
                try:
                    raise error
                except RETRYABLE:
                    waits.append(attempts.wait_s(error))
                    clock.now += waits[-1]
        except SentimentError as error:
            return error, waits
    return None, waits


def answered(status: int = 503, **headers: str) -> StatusError:
    with pytest.raises(StatusError) as caught:
        raise_for_status(Reply(status, headers, b""), "r-1")
    return caught.value


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_request_is_repeated_after_a_temporary_failure(status: int) -> None:
    assert play([(0.1, answered(status)), (0.1, None)]) == (None, [0.0])


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 422, 500])
def test_a_request_is_not_repeated_after_a_permanent_failure(status: int) -> None:
    error, waits = play([(0.1, answered(status)), (0.1, None)])
    assert isinstance(error, StatusError)
    assert (error.status, error.request_id) == (status, "r-1")
    assert waits == []


def test_the_service_gets_the_time_that_it_asks_for() -> None:
    asked = {"retry-after": "5"}
    outcomes = [(0.1, answered(429, **asked)), (0.1, answered(503, **asked)), (0.1, None)]
    assert play(outcomes) == (None, [5, 5])


def test_a_request_is_repeated_after_a_failed_connection() -> None:
    assert play([(0.1, DOWN), (0.1, DOWN), (0.1, None)]) == (None, [0.0, 0.0])


def test_retries_end() -> None:
    error, waits = play([(0.1, DOWN)] * 5)
    assert error is DOWN
    assert len(waits) == 3


def test_an_error_is_final_if_the_deadline_leaves_no_time_for_another_attempt() -> None:
    error, waits = play([(0.1, answered(503, **{"retry-after": "30"}))], deadline=10.0)
    assert isinstance(error, Unavailable)
    assert waits == []


def test_an_attempt_that_lasts_until_the_deadline_is_the_last() -> None:
    error, _ = play([(10.0, ConnectionFailed("timeout"))], deadline=10.0)
    assert isinstance(error, DeadlinePassed)


def test_waits_double_up_to_their_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    policy = RetryPolicy(base_s=0.5, cap_s=3.0)
    assert [policy.wait_s(n, None) for n in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_is_added_to_the_time_that_the_service_asks_for() -> None:
    policy = RetryPolicy(base_s=2.0)
    waits = {policy.wait_s(0, 5.0) for _ in range(200)}
    assert all(5.0 <= wait < 7.0 for wait in waits)
    assert len(waits) > 100
    assert RetryPolicy().wait_s(2000, None) < RetryPolicy().cap_s
