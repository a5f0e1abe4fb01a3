import pytest

from serve_app.gateway.backlog import CHARS_PER_TEXT, CHARS_PER_TOKEN, Backlog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    return Backlog(max_tokens=512, clock=clock)


def compute(backlog: Backlog, clock: Clock, text: str, seconds: float, times: int) -> None:
    with backlog.waiting(backlog.work([text])):
        for _ in range(times):
            clock.now += seconds
            backlog.done([text])


def test_what_the_model_does_not_read_is_no_work(backlog: Backlog) -> None:
    assert backlog.work(["x" * 512 * CHARS_PER_TOKEN]) == backlog.work(["x" * 32_768])
    assert backlog.work(["", ""]) == 2 * CHARS_PER_TEXT


def test_the_wait_is_what_waits_at_the_rate_at_which_work_was_done(
    backlog: Backlog, clock: Clock
) -> None:
    compute(backlog, clock, "a" * 90, 0.1, times=1000)
    with backlog.waiting(2000):
        assert backlog.wait_s() == pytest.approx(2.0, rel=0.02)
        assert backlog.wait_s(more=1000) == pytest.approx(3.0, rel=0.02)
    assert backlog.wait_s() == 0


def test_nothing_is_known_before_anything_was_done(backlog: Backlog) -> None:
    with backlog.waiting(10**9):
        assert backlog.wait_s() == 0


def test_time_in_which_nobody_waits_changes_nothing(backlog: Backlog, clock: Clock) -> None:
    compute(backlog, clock, "a" * 90, 0.1, times=1000)
    before = backlog.wait_s(more=1000)
    clock.now += 3600
    assert backlog.wait_s(more=1000) == before


def test_the_rate_follows_a_model_that_becomes_slower(backlog: Backlog, clock: Clock) -> None:
    compute(backlog, clock, "a" * 90, 0.1, times=1000)
    compute(backlog, clock, "a" * 90, 1.0, times=40)
    assert backlog.wait_s(more=100) == pytest.approx(1.0, rel=0.2)
