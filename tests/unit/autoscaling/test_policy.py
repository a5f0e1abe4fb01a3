from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from serve_app.autoscaling.policy import Fleet, Load, replicas
from serve_app.settings import ScalingSettings

SETTINGS = ScalingSettings()

work = st.floats(0, 1e12)
rates = st.floats(1e-3, 1e9)
loads = st.builds(
    Load, arriving=work, waiting=work, rate=rates, complete=st.booleans(), rising=work
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


def load(arriving: float, waiting: float = 0, *, complete: bool = True) -> Load:
    """Return a load in units of what one replica does each second."""
    return Load(arriving, waiting, 1.0, complete)


def fleet(running: int, target: int | None = None, most: int = 100) -> Fleet:
    return Fleet(running, running if target is None else target, 1, most)


@given(loads, fleets(), settings_)
def test_the_number_stays_within_its_bounds(
    load: Load, fleet: Fleet, settings: ScalingSettings
) -> None:
    assert fleet.least <= replicas(load, fleet, settings) <= fleet.most


@given(loads, fleets(), settings_, st.floats(0, 1e12), st.floats(0, 1e12))
def test_more_work_never_asks_for_fewer_replicas(
    load: Load, fleet: Fleet, settings: ScalingSettings, arriving: float, waiting: float
) -> None:
    more = load._replace(arriving=load.arriving + arriving, waiting=load.waiting + waiting)
    assert replicas(more, fleet, settings) >= replicas(load, fleet, settings)


@given(loads, fleets(), settings_)
def test_a_constant_load_is_decided_once(
    load: Load, fleet: Fleet, settings: ScalingSettings
) -> None:
    first = replicas(load, fleet, settings)
    settled = Fleet(first, first, fleet.least, fleet.most)
    unhurried = load._replace(waiting=0.0)
    decided = replicas(unhurried, settled, settings)
    again = Fleet(decided, decided, fleet.least, fleet.most)
    assert replicas(unhurried, again, settings) == decided


@given(fleets(), settings_)
def test_nothing_known_changes_nothing(fleet: Fleet, settings: ScalingSettings) -> None:
    assert replicas(None, fleet, settings) == fleet.target


@given(loads, fleets(), settings_)
def test_a_missing_report_releases_nobody(
    load: Load, fleet: Fleet, settings: ScalingSettings
) -> None:
    incomplete = load._replace(complete=False)
    assert replicas(incomplete, fleet, settings) >= fleet.target


@given(st.floats(0.1, 70), st.floats(0, 1000))
def test_a_queue_raises_what_arrivals_need_by_a_quarter_or_one_replica_at_most(
    arriving: float, waiting: float
) -> None:
    needed = arriving / SETTINGS.target_utilization
    most = max(ceil(needed) + 1, 1.25 * needed)
    assert replicas(load(arriving, waiting), fleet(1), SETTINGS) <= most


def test_a_long_queue_raises_a_small_fleet_too() -> None:
    assert replicas(load(1.4, waiting=60.0), fleet(2), SETTINGS) == 3


def test_arrivals_are_met_at_the_target_utilization() -> None:
    assert replicas(load(7.5), fleet(1), SETTINGS) == 10


def test_a_queue_within_the_target_wait_asks_for_nobody() -> None:
    assert replicas(load(7.5, waiting=20), fleet(10), SETTINGS) == 10
    assert replicas(load(7.5, waiting=22), fleet(10), SETTINGS) == 11


def test_a_rise_counts_at_once_while_a_queue_is_too_long() -> None:
    rising = load(1, waiting=5)._replace(rising=7.5)
    assert replicas(rising, fleet(2), SETTINGS) == 10
    assert replicas(rising, fleet(3), SETTINGS) == 3


def test_a_long_queue_keeps_replicas_that_arrivals_would_release() -> None:
    assert replicas(load(1, waiting=20), fleet(8), SETTINGS) == 8
    assert replicas(load(1, waiting=8), fleet(8), SETTINGS) == 4


def test_between_the_thresholds_nothing_moves() -> None:
    assert [replicas(load(x), fleet(10), SETTINGS) for x in (5.3, 5.5, 6, 7, 7.5)] == [9] + [10] * 4
    assert replicas(load(7.6), fleet(10), SETTINGS) == 11
