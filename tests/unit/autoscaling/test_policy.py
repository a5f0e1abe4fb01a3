import doctest
from math import ceil, isfinite

from hypothesis import given
from hypothesis import strategies as st

from serve_app import autoscaling
from serve_app.autoscaling import (
    CPU,
    HELD,
    PER_CHAR,
    RATE,
    WAITING,
    WANTED,
    ClassifierReport,
    Fleet,
    GatewayReport,
    Series,
    Workload,
    classifier_workload,
    gateway_workload,
    read_classifier,
    read_gateway,
    required_replicas,
)
from serve_app.settings import ScalingSettings
from tests.unit.autoscaling.series import NOW

SETTINGS = ScalingSettings()
STALE_S = 10.0
GATEWAY = GatewayReport(cpu=0.5, wanted=400, held=0, rising=800)
CLASSIFIER = ClassifierReport(waiting=5, rate=100, per_char=0.25)

work = st.floats(0, 1e12)
rates = st.floats(1e-3, 1e9)
loads = st.builds(
    Workload, arriving=work, waiting=work, rate=rates, complete=st.booleans(), rising=work
)
settings_ = st.builds(
    ScalingSettings,
    target_wait_s=st.floats(0.01, 100),
    target_utilization=st.floats(0.5, 1),
    release_utilization=st.floats(0.1, 0.49),
    max_surge=st.floats(0, 3),
)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    least = draw(st.integers(1, 20))
    most = draw(st.integers(least, 200))
    return Fleet(draw(st.integers(0, most)), draw(st.integers(least, most)), least, most)


def load(arriving: float, waiting: float = 0, *, complete: bool = True) -> Workload:
    """Return a load in units of what one replica does each second."""
    return Workload(arriving, waiting, 1.0, complete)


def fleet(running: int, target: int | None = None, most: int = 100) -> Fleet:
    return Fleet(running, running if target is None else target, 1, most)


@given(loads, fleets(), settings_)
def test_the_number_stays_within_its_bounds(
    workload: Workload, fleet: Fleet, settings: ScalingSettings
) -> None:
    assert fleet.min_replicas <= required_replicas(workload, fleet, settings) <= fleet.max_replicas


@given(loads, fleets(), settings_, st.floats(0, 1e12), st.floats(0, 1e12))
def test_more_work_never_asks_for_fewer_replicas(
    workload: Workload, fleet: Fleet, settings: ScalingSettings, arriving: float, waiting: float
) -> None:
    more = workload._replace(
        arriving=workload.arriving + arriving, waiting=workload.waiting + waiting
    )
    assert required_replicas(more, fleet, settings) >= required_replicas(workload, fleet, settings)


@given(loads, fleets(), settings_)
def test_a_constant_load_is_decided_once(
    workload: Workload, fleet: Fleet, settings: ScalingSettings
) -> None:
    first = required_replicas(workload, fleet, settings)
    settled = Fleet(first, first, fleet.min_replicas, fleet.max_replicas)
    unhurried = workload._replace(waiting=0.0)
    decided = required_replicas(unhurried, settled, settings)
    again = Fleet(decided, decided, fleet.min_replicas, fleet.max_replicas)
    assert required_replicas(unhurried, again, settings) == decided


@given(fleets(), settings_)
def test_nothing_known_changes_nothing(fleet: Fleet, settings: ScalingSettings) -> None:
    assert required_replicas(None, fleet, settings) == fleet.target


@given(loads, fleets(), settings_)
def test_a_missing_report_releases_nobody(
    workload: Workload, fleet: Fleet, settings: ScalingSettings
) -> None:
    incomplete = workload._replace(complete=False)
    assert required_replicas(incomplete, fleet, settings) >= fleet.target


@given(st.floats(0.1, 70), st.floats(0, 1000))
def test_a_queue_raises_what_arrivals_need_by_a_quarter_or_one_replica_at_most(
    arriving: float, waiting: float
) -> None:
    needed = arriving / SETTINGS.target_utilization
    most = max(ceil(needed) + 1, 1.25 * needed)
    assert required_replicas(load(arriving, waiting), fleet(1), SETTINGS) <= most


def test_a_long_queue_raises_a_small_fleet_too() -> None:
    assert required_replicas(load(1.4, waiting=60.0), fleet(2), SETTINGS) == 3


def test_arrivals_are_met_at_the_target_utilization() -> None:
    assert required_replicas(load(7.5), fleet(1), SETTINGS) == 10


def test_a_queue_within_the_target_wait_asks_for_nobody() -> None:
    assert required_replicas(load(7.5, waiting=20), fleet(10), SETTINGS) == 10
    assert required_replicas(load(7.5, waiting=22), fleet(10), SETTINGS) == 11


def test_a_rise_counts_at_once_while_a_queue_is_too_long() -> None:
    rising = load(1, waiting=5)._replace(rising=7.5)
    assert required_replicas(rising, fleet(2), SETTINGS) == 10
    assert required_replicas(rising, fleet(3), SETTINGS) == 3


def test_a_long_queue_keeps_replicas_that_arrivals_would_release() -> None:
    assert required_replicas(load(1, waiting=20), fleet(8), SETTINGS) == 8
    assert required_replicas(load(1, waiting=8), fleet(8), SETTINGS) == 4


def test_between_the_thresholds_nothing_moves() -> None:
    assert [required_replicas(load(x), fleet(10), SETTINGS) for x in (5.3, 5.5, 6, 7, 7.5)] == [
        9
    ] + [10] * 4
    assert required_replicas(load(7.6), fleet(10), SETTINGS) == 11


def test_the_worked_example_is_right() -> None:
    assert doctest.testmod(autoscaling) == (0, 9)


def test_demand_is_what_comes_to_the_gateways_in_tokens() -> None:
    workload = classifier_workload([CLASSIFIER, CLASSIFIER], [GATEWAY, GATEWAY])
    assert workload == Workload(arriving=200, waiting=10, rate=100, complete=True, rising=400)


def test_what_gateways_hold_waits_too() -> None:
    workload = classifier_workload([CLASSIFIER], [GATEWAY._replace(held=40), GATEWAY])
    assert workload is not None
    assert workload.waiting == 15


def test_a_fresh_classifier_counts_with_the_means_of_the_others() -> None:
    reports = [
        ClassifierReport(5, 100, 0.2),
        ClassifierReport(5, 200, 0.4),
        ClassifierReport(5, None, None),
    ]
    workload = classifier_workload(reports, [GatewayReport(0, 100, 0)])
    assert workload is not None
    assert round(workload.arriving, 6) == 30
    assert (workload.waiting, workload.rate, workload.complete) == (15, 150, True)


def test_a_missing_report_of_either_is_noticed() -> None:
    for classifiers, gateways in (
        ([CLASSIFIER, None], [GATEWAY]),
        ([CLASSIFIER], [GATEWAY, None]),
        ([CLASSIFIER], []),
    ):
        workload = classifier_workload(classifiers, gateways)
        assert workload is not None
        assert not workload.complete


def test_nothing_is_known_before_any_classifier_has_measured_its_rate() -> None:
    assert classifier_workload([], [GATEWAY]) is None
    assert classifier_workload([None, ClassifierReport(5, None, 0.2)], [GATEWAY]) is None


def test_a_gateways_work_is_the_time_of_its_process() -> None:
    workload = gateway_workload([GATEWAY, GATEWAY])
    assert workload == Workload(arriving=1.0, waiting=0.0, rate=1.0, complete=True)
    assert gateway_workload([None]) is None
    partial = gateway_workload([GATEWAY, None])
    assert partial is not None
    assert not partial.complete


numbers = st.floats(allow_nan=True, allow_infinity=True)
samples = st.lists(st.tuples(st.floats(NOW - 30, NOW + 30), numbers), max_size=4)
reported = st.lists(
    st.dictionaries(st.sampled_from([WAITING, RATE, PER_CHAR, CPU, WANTED, HELD]), samples),
    max_size=4,
)


@given(reported, reported)
def test_whatever_replicas_report_there_is_a_number_of_them(
    of_classifiers: list[dict[str, Series]], of_gateways: list[dict[str, Series]]
) -> None:
    classifiers = [read_classifier(each, NOW - STALE_S) for each in of_classifiers]
    gateways = [read_gateway(each, NOW - STALE_S, 5.0) for each in of_gateways]
    for workload in (classifier_workload(classifiers, gateways), gateway_workload(gateways)):
        assert workload is None or all(
            isfinite(value) for value in (workload.arriving, workload.waiting, workload.rising)
        )
        assert 1 <= required_replicas(workload, Fleet(2, 3, 1, 9), ScalingSettings()) <= 9
