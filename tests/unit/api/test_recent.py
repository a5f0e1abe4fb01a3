import pytest

from serve_app.api.request_record import RequestRecord
from serve_app.lab.live import WINDOW_S, RecentRequests, bucket, middle


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def report(
    outcome: str = "ok", hits: int = 0, misses: int = 0, seconds: float = 0.02
) -> RequestRecord:
    return RequestRecord(
        ended=0.0,
        request_id="r",
        path="/project/predict",
        status=200,
        outcome=outcome,
        texts=hits + misses,
        hits=hits,
        misses=misses,
        truncated=0,
        times=None,
        seconds=seconds,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> RecentRequests:
    return RecentRequests(clock)


def test_full_seconds_of_the_window_are_added_up(recent: RecentRequests, clock: Clock) -> None:
    recent(report(hits=1, misses=2))
    clock.now += 3
    recent(report(hits=4))
    recent(report("overloaded", misses=9))
    recent(report("disconnected", misses=9))
    clock.now += 1
    found = recent.figures(classifiers=5)
    assert (found.answered, found.refused, found.texts, found.hits) == (2, 1, 7, 5)
    assert found.times == {bucket(0.02): 2}
    assert found.classifiers == 5


def test_the_second_under_way_is_not_told_yet(recent: RecentRequests, clock: Clock) -> None:
    recent(report())
    assert recent.figures(1).answered == 0
    clock.now += 1
    assert recent.figures(1).answered == 1


def test_older_seconds_are_forgotten(recent: RecentRequests, clock: Clock) -> None:
    recent(report())
    clock.now += WINDOW_S
    assert recent.figures(1).answered == 1
    clock.now += 1
    assert recent.figures(1).answered == 0


def test_only_as_many_seconds_are_kept_as_are_told(recent: RecentRequests, clock: Clock) -> None:
    for _ in range(5 * WINDOW_S):
        recent(report())
        clock.now += 1
    assert recent.figures(1).answered == WINDOW_S
    assert len(recent._seconds) == WINDOW_S + 1


@pytest.mark.parametrize("seconds", [1e-4, 0.00123, 0.02, 0.5, 29.9])
def test_a_bucket_is_within_five_percent_of_its_times(seconds: float) -> None:
    assert middle(bucket(seconds)) == pytest.approx(seconds, rel=0.046)


def test_no_time_is_too_short_for_a_bucket() -> None:
    assert bucket(0.0) == bucket(1e-9) == 0
