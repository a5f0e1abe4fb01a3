import pytest

from serve_app.dispatch.dispatcher import CHARS_PER_TEXT, CHARS_PER_TOKEN, WaitEstimator
from tests.unit.clock import ManualClock


@pytest.fixture
def estimator(clock: ManualClock) -> WaitEstimator:
    return WaitEstimator(max_tokens=512, clock=clock)


def compute(
    estimator: WaitEstimator, clock: ManualClock, seconds: float, times: int, replicas: int = 1
) -> None:
    """Score hundred characters of work in so many seconds, again and again."""
    for _ in range(times):
        clock.now += seconds
        estimator.observe_time(replicas)
        estimator.observe_done(["a" * 90])


def test_what_the_model_does_not_read_is_no_work(estimator: WaitEstimator) -> None:
    assert estimator.work(["x" * 512 * CHARS_PER_TOKEN]) == estimator.work(["x" * 32_768])
    assert estimator.work(["", ""]) == 2 * CHARS_PER_TEXT


def test_the_wait_is_what_waits_at_the_rate_at_which_work_was_done(
    estimator: WaitEstimator, clock: ManualClock
) -> None:
    compute(estimator, clock, 0.1, times=1000)
    estimator.add(["a" * 990] * 2)
    assert estimator.wait_s(1) == pytest.approx(2.0, rel=0.02)
    assert estimator.wait_s(1, more=1000) == pytest.approx(3.0, rel=0.02)
    estimator.remove(["a" * 990])
    assert estimator.wait_s(1) == pytest.approx(1.0, rel=0.02)


def test_nothing_is_known_before_it_was_measured(
    estimator: WaitEstimator, clock: ManualClock
) -> None:
    estimator.add(["a"])
    clock.now += 1
    estimator.observe_time(0)
    estimator.observe_done(["a"])
    assert estimator.wait_s(1) is None


def test_time_in_which_replicas_lack_work_changes_nothing(
    estimator: WaitEstimator, clock: ManualClock
) -> None:
    compute(estimator, clock, 0.1, times=1000)
    before = estimator.wait_s(1, more=1000)
    clock.now += 3600
    estimator.observe_time(0)
    assert estimator.wait_s(1, more=1000) == before


def test_replicas_that_have_started_count(estimator: WaitEstimator, clock: ManualClock) -> None:
    compute(estimator, clock, 0.05, times=1000, replicas=2)
    assert estimator.wait_s(2, more=1000) == pytest.approx(0.5, rel=0.02)
    assert estimator.wait_s(4, more=1000) == pytest.approx(0.25, rel=0.02)


def test_the_rate_follows_a_model_that_becomes_slower(
    estimator: WaitEstimator, clock: ManualClock
) -> None:
    compute(estimator, clock, 0.1, times=1000)
    compute(estimator, clock, 1.0, times=40)
    assert estimator.wait_s(1, more=100) == pytest.approx(1.0, rel=0.2)


def test_an_outage_is_no_measure_of_the_rate(estimator: WaitEstimator, clock: ManualClock) -> None:
    compute(estimator, clock, 0.1, times=1000)
    clock.now += 60
    compute(estimator, clock, 0.1, times=1)
    assert estimator.wait_s(1, more=1000) == pytest.approx(1.0, rel=0.3)
