from collections.abc import Callable
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serve_app.settings import GatewaySettings, ScalingSettings
from tests.unit.autoscaling.closed_loop import Moment, Plant, simulate

SCALING = ScalingSettings()
STEP = range(30, 150)
ENOUGH = ceil(5.5 / SCALING.target_utilization)
MAX_WAIT_S = GatewaySettings().max_wait_s


def changes(moments: list[Moment]) -> int:
    return sum(one.target != other.target for one, other in pairwise(moments))


def step(now: float) -> float:
    """Offer 0.55 replicas' work, ten times as much for two minutes, and 0.55 again."""
    return 5.5 if STEP.start <= now < STEP.stop else 0.55


def max_target(moments: list[Moment]) -> int:
    return max(moment.target for moment in moments)


plants = st.tuples(st.floats(1, 20), st.floats(0, 5), st.floats(2, 10), st.floats(0, 10)).map(
    lambda drawn: Plant(drawn[0], late_s=drawn[1], demand_s=drawn[2], upscale_delay_s=drawn[3])
)


@settings(max_examples=30)
@given(plants, st.floats(0.05, 40), st.integers(1, 60))
def test_a_constant_load_comes_to_rest(plant: Plant, offered: float, running: int) -> None:
    moments = simulate(lambda _: offered, 420, plant, running=running)
    settled = moments[len(moments) // 2 :]
    assert changes(settled) == 0
    assert settled[-1].running >= offered
    assert settled[-1].wait_s <= SCALING.target_wait_s


def wavering(offered: float, wave: float, period_s: float) -> Callable[[float], float]:
    return lambda now: offered * (1 + (wave if now % period_s < period_s / 2 else -wave))


waves = given(offered=st.floats(0.5, 40), wave=st.floats(0, 0.1), period_s=st.floats(3, 120))


@settings(max_examples=20)
@waves
def test_a_load_that_wavers_by_a_tenth_moves_nothing(
    offered: float, wave: float, period_s: float
) -> None:
    enough = ceil(offered * (1 + wave) / SCALING.target_utilization)
    moments = simulate(wavering(offered, wave, period_s), 600, running=enough)
    assert changes(moments[len(moments) // 3 :]) == 0


@settings(max_examples=20)
@waves
# Its lulls are hardly longer than Ray's delay, so that what the start took too much goes late.
@example(offered=12.3125, wave=0.0390625, period_s=67.0625)
def test_after_a_start_from_one_it_releases_at_most_once_what_that_took_too_much(
    offered: float, wave: float, period_s: float
) -> None:
    moments = simulate(wavering(offered, wave, period_s), 600)
    settled = moments[len(moments) // 3 :]
    assert changes(settled) <= 1
    assert settled[-1].target <= settled[0].target


@settings(max_examples=30)
@given(start_s=st.floats(1, 40), late_s=st.floats(0, 5), metrics_s=st.floats(0.2, 2))
def test_no_start_and_no_report_is_so_slow_that_too_much_is_started(
    start_s: float, late_s: float, metrics_s: float
) -> None:
    moments = simulate(step, 150, Plant(start_s, late_s=late_s, metrics_s=metrics_s))
    assert ENOUGH <= max_target(moments) <= 1.25 * ENOUGH


@pytest.mark.parametrize("seed", range(10))
def test_neither_do_requests_that_come_by_chance_start_too_much(seed: int) -> None:
    moments = simulate(step, 150, Plant(request=0.05, seed=seed))
    assert max_target(moments) <= 1.25 * ENOUGH


@pytest.mark.parametrize("seed", range(3))
def test_requests_that_come_by_chance_at_one_rate_move_nothing(seed: int) -> None:
    moments = simulate(lambda _: 3.0, 660, Plant(request=0.05, seed=seed))
    settled = [moment for moment in moments if moment.time >= 60]
    assert changes(settled) <= 1


def test_ten_times_the_load_is_met_soon_and_released_again() -> None:
    plant = Plant()
    moments = simulate(step, 300, plant)
    late = [m.time for m in moments if m.time < STEP.stop and m.wait_s > SCALING.target_wait_s]
    assert max(late) - STEP.start <= plant.start_s + 10
    assert moments[-1].target == 1


@pytest.mark.parametrize("start_s", [6, 12, 30])
def test_demand_that_is_refused_and_does_not_come_again_is_met_in_one_round(start_s: float) -> None:
    moments = simulate(step, 150, Plant(start_s, max_wait_s=MAX_WAIT_S))
    reached = next(moment.time for moment in moments if moment.running >= 5.5)
    assert reached - STEP.start <= start_s + 5
    assert max_target(moments) <= 1.25 * ENOUGH


@pytest.mark.parametrize("start_s", [6, 12, 30])
@pytest.mark.parametrize("retry_s", [1, 6])
def test_callers_who_try_again_do_not_multiply_the_replicas(start_s: float, retry_s: float) -> None:
    moments = simulate(step, 150, Plant(start_s, max_wait_s=MAX_WAIT_S, retry_s=retry_s))
    assert max_target(moments) <= 1.25 * ENOUGH


@pytest.mark.parametrize("start_s", [6, 12, 30])
def test_two_gateways_that_know_nothing_of_each_other_may_count_one_twice(start_s: float) -> None:
    plant = Plant(start_s, max_wait_s=MAX_WAIT_S, retry_s=6, gateways=2)
    assert max_target(simulate(step, 150, plant)) <= 2 * 1.25 * ENOUGH
