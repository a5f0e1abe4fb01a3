import numpy as np
import pytest

from loadtest.report.histogram import BUCKETS, HIGHEST_MS, LOWEST_MS, bucket, percentile


def counted(milliseconds: list[float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.bincount([bucket(value) for value in milliseconds], minlength=BUCKETS)


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 99.9, 100])
def test_percentiles_are_those_of_the_values_within_half_a_percent(percent: float) -> None:
    values = np.random.default_rng(0).lognormal(mean=3, sigma=1.5, size=20_011)
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert percentile(counted(values.tolist()), percent) == pytest.approx(exact, rel=0.005)


def test_a_step_without_a_value_has_no_percentile() -> None:
    counts = np.stack([counted([5.0]), counted([])])
    found = percentile(counts, 50)
    assert found[0] == pytest.approx(5, rel=0.005)
    assert np.isnan(found[1])


def test_values_outside_the_range_fall_into_the_outermost_buckets() -> None:
    assert bucket(0) == bucket(LOWEST_MS) == 0
    assert bucket(10 * HIGHEST_MS) == BUCKETS - 1
