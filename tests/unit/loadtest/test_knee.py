import numpy as np
import pytest

from loadtest.report.histogram import BUCKETS, bucket
from loadtest.report.knee import knee
from loadtest.report.series import Series


def rising(latencies_ms: list[float], per_second: list[int], errors: list[int]) -> Series:
    """A run in which the requests of each second take the same time."""
    steps = len(per_second)
    latency = np.zeros((steps, BUCKETS), np.int64)
    for step, (value, count) in enumerate(zip(latencies_ms, per_second, strict=True)):
        latency[step, bucket(value)] = count
    failed = np.array(errors)
    none = np.zeros(steps, np.int64)
    statuses = {"200": np.array(per_second) - failed, "429": failed}
    return Series(1, latency, statuses, none, none, none)


def test_the_knee_is_the_highest_rate_of_a_window_within_the_limit() -> None:
    latencies = [10.0] * 10 + [900.0] * 6
    rates = [10] * 5 + [20] * 5 + [30] * 6
    found = knee(rising(latencies, rates, [0] * 16), p99_limit_ms=500)
    assert found.per_second == pytest.approx(20)
    assert found.reached


def test_errors_count_as_beyond_the_knee() -> None:
    found = knee(rising([10.0] * 11, [10] * 5 + [20] * 6, [0] * 5 + [1] * 6), p99_limit_ms=500)
    assert found.per_second == pytest.approx(10)
    assert found.reached


def test_a_load_that_stays_within_the_limit_does_not_reach_the_knee() -> None:
    found = knee(rising([10.0] * 11, [10] * 5 + [20] * 6, [0] * 11), p99_limit_ms=500)
    assert found.per_second == pytest.approx(20)
    assert not found.reached


def test_fast_refusals_do_not_make_up_for_slow_answers() -> None:
    steps = 10
    latency = np.zeros((steps, BUCKETS), np.int64)
    latency[:, bucket(900.0)] = 10
    none = np.zeros(steps, np.int64)
    statuses = {"200": np.full(steps, 10), "429": np.full(steps, 2000)}
    found = knee(Series(1, latency, statuses, none, none, none), p99_limit_ms=500)
    assert found.per_second == 0
    assert found.reached
