from math import inf, nan

import pytest

from serve_app.autoscaling import (
    CPU,
    HELD,
    PER_CHAR,
    RATE,
    WAITING,
    WANTED,
    ClassifierReport,
    GatewayReport,
    classifier_stats,
    gateway_stats,
    read_classifier,
    read_gateway,
)
from tests.unit.autoscaling.series import NOW, series

SINCE = NOW - 10
DEMAND_S = 3.0


def test_what_a_classifier_publishes_can_be_read() -> None:
    published = classifier_stats(waiting=1, rate=4, tokens_per_char=0.25)
    report = read_classifier({name: series(value) for name, value in published.items()}, SINCE)
    assert report == ClassifierReport(waiting=1, rate=4, per_char=0.25)


def test_what_a_classifier_has_not_measured_is_not_published() -> None:
    assert classifier_stats(waiting=1, rate=None, tokens_per_char=None) == {WAITING: 1}
    assert read_classifier({WAITING: series(1)}, SINCE) == ClassifierReport(1, None, None)


def test_what_a_gateway_publishes_can_be_read_as_rates() -> None:
    published = [gateway_stats(cpu_seconds=n, wanted_chars=50 * n, held_chars=7) for n in range(3)]
    rows = {name: series(*(each[name] for each in published)) for name in published[0]}
    assert read_gateway(rows, SINCE, DEMAND_S) == GatewayReport(cpu=1, wanted=50, held=7, rising=50)


def test_demand_is_that_of_the_last_seconds_and_cpu_time_that_of_all() -> None:
    ones = series(0, 1, 2, 3, 4, 5, 6, 13, 20, 36)
    report = read_gateway({CPU: ones, WANTED: ones, HELD: series(0)}, SINCE, DEMAND_S)
    assert report == GatewayReport(cpu=4, wanted=10, held=0, rising=16)


def test_late_samples_tell_the_rate_of_their_time() -> None:
    late = series(0, 5, 10, until=NOW - 4)
    report = read_gateway({CPU: late, WANTED: late, HELD: late}, SINCE, DEMAND_S)
    assert report is not None
    assert report.wanted == 5


def test_a_gateway_with_one_sample_has_not_reported() -> None:
    one, two = series(5), series(5, 6)
    assert read_gateway({CPU: two, WANTED: one, HELD: two}, SINCE, DEMAND_S) is None
    assert read_gateway({CPU: one, WANTED: two, HELD: two}, SINCE, DEMAND_S) is None


def test_a_counter_that_starts_anew_is_no_negative_rate() -> None:
    restarted = series(900, 5)
    report = read_gateway({CPU: restarted, WANTED: restarted, HELD: series(0)}, SINCE, DEMAND_S)
    assert report is not None
    assert report.wanted == 0


@pytest.mark.parametrize(
    "reported", [[], series(nan), series(-1), series(inf), series(5, until=NOW - 11)]
)
def test_an_old_or_unusable_report_is_none(reported: list[tuple[float, float]]) -> None:
    assert read_classifier({WAITING: reported, RATE: series(5)}, SINCE) is None
    growing = series(5, 6)
    assert read_gateway({HELD: reported, CPU: growing, WANTED: growing}, SINCE, DEMAND_S) is None


def test_a_rate_of_zero_counts_as_not_measured() -> None:
    report = read_classifier({WAITING: series(1), RATE: series(0), PER_CHAR: series(0.2)}, SINCE)
    assert report == ClassifierReport(1, None, 0.2)
