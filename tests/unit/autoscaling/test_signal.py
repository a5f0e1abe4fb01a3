from math import inf, isfinite, nan
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve_app.autoscaling.policy import Fleet, Load, replicas
from serve_app.autoscaling.signal import (
    ARRIVED,
    CALLS,
    RATE,
    WAITING,
    Queue,
    Report,
    Series,
    combine,
    read,
    stats,
)
from serve_app.settings import ScalingSettings

NOW = 1_000.0
STALE_S = 10.0
EMPTY = Queue(0, 0)


class Sample(NamedTuple):
    timestamp: float
    value: float


def series(*values: float, until: float = NOW) -> list[Sample]:
    """Return samples that are a second apart."""
    first = until - len(values) + 1
    return [Sample(first + index, value) for index, value in enumerate(values)]


def published(waiting: float, arrived: tuple[float, ...], rate: float) -> dict[str, Series]:
    calls = series(*(value / 10 for value in arrived))
    return {
        WAITING: series(waiting),
        ARRIVED: series(*arrived),
        CALLS: calls,
        RATE: series(rate),
    }


def test_counters_become_rates() -> None:
    report = read(published(50, (100, 300, 700), 20), NOW, STALE_S)
    assert report == Report(waiting=50, arriving=300, calls=30, rate=20)


def test_what_a_replica_publishes_can_be_read() -> None:
    names = stats(waiting=1, arrived=2, calls=3, rate=4)
    report = read({name: series(value) for name, value in names.items()}, NOW, STALE_S)
    assert report == Report(waiting=1, arriving=0, calls=0, rate=4)


def test_a_rate_that_is_not_measured_is_not_published() -> None:
    assert RATE not in stats(waiting=1, arrived=2, calls=3, rate=None)


@pytest.mark.parametrize("waiting", [[], series(nan), series(-1), series(5, until=NOW - 11)])
def test_an_old_or_unusable_report_is_none(waiting: list[Sample]) -> None:
    assert read({WAITING: waiting, RATE: series(5)}, NOW, STALE_S) is None


def test_a_counter_that_starts_anew_is_no_negative_rate() -> None:
    report = read(published(0, (900, 5), 20), NOW, STALE_S)
    assert report is not None
    assert report.arriving == 0


def test_a_fresh_replica_counts_with_the_rate_of_the_others() -> None:
    load = combine([Report(5, 10, 1, 100), Report(5, 10, 1, 200), Report(5, 0, 0, None)], EMPTY)
    assert load == Load(arriving=20, waiting=15, rate=150, complete=True)


def test_calls_that_nobody_has_taken_count_with_the_mean_work_of_a_call() -> None:
    load = combine([Report(5, 30, 3, 100)], Queue(calls=7, growth=0))
    assert load == Load(arriving=30, waiting=75, rate=100, complete=True)


def test_a_queue_that_builds_up_hides_no_work_and_one_that_empties_is_none() -> None:
    for growth, arriving in ((2, 50), (-2, 10), (-9, 0)):
        load = combine([Report(5, 30, 3, 100)], Queue(7, growth))
        assert load is not None
        assert load.arriving == arriving


def test_a_missing_report_is_noticed() -> None:
    load = combine([Report(5, 30, 3, 100), None], EMPTY)
    assert load is not None
    assert not load.complete


def test_nothing_is_known_before_any_replica_has_measured_its_rate() -> None:
    assert combine([], EMPTY) is None
    assert combine([None, Report(5, 30, 3, None)], Queue(4, 0)) is None


numbers = st.floats(allow_nan=True, allow_infinity=True)
samples = st.lists(st.builds(Sample, st.floats(NOW - 30, NOW + 30), numbers), max_size=4)
replicas_ = st.lists(
    st.dictionaries(st.sampled_from([WAITING, ARRIVED, CALLS, RATE]), samples), max_size=4
)


@given(replicas_, st.sampled_from([0.0, 7.0, nan, inf]), st.sampled_from([0.0, -3.0, nan]))
@example([published(50, (100, 700), 20), {WAITING: series(nan)}], inf, nan)
def test_whatever_replicas_report_there_is_a_number_of_them(
    reported: list[dict[str, list[Sample]]], queued: float, growth: float
) -> None:
    reports = [read(report, NOW, STALE_S) for report in reported]
    load = combine(reports, Queue(queued, growth))
    assert (load is not None) == any(report and report.rate for report in reports)
    if load is not None:
        assert all(isfinite(value) for value in (load.arriving, load.waiting, load.rate))
    assert 1 <= replicas(load, Fleet(2, 3, 1, 9), ScalingSettings()) <= 9
