from itertools import pairwise
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.settings import ScalingSettings
from tests.unit.autoscaling.closed_loop import Moment, Plant, simulate

SCALING = ScalingSettings()


def changes(moments: list[Moment]) -> int:
    return sum(one.target != other.target for one, other in pairwise(moments))


def step(now: float) -> float:
    """Offer 0.6 replicas' work, ten times as much for two minutes, and 0.6 again."""
    return 6.0 if 30 <= now < 150 else 0.6


@settings(max_examples=30, deadline=None)
@given(
    offered=st.floats(0.05, 40),
    start_s=st.floats(1, 20),
    upscale_delay_s=st.floats(0, 10),
    look_back_s=st.floats(2, 20),
    running=st.integers(1, 60),
)
def test_a_constant_load_comes_to_rest(
    offered: float, start_s: float, upscale_delay_s: float, look_back_s: float, running: int
) -> None:
    plant = Plant(start_s=start_s, upscale_delay_s=upscale_delay_s, look_back_s=look_back_s)
    moments = simulate(lambda _: offered, 420, plant, running=running)
    settled = moments[len(moments) // 2 :]
    assert changes(settled) == 0
    assert settled[-1].running >= offered
    assert settled[-1].wait_s <= SCALING.target_wait_s


@settings(max_examples=20, deadline=None)
@given(offered=st.floats(0.5, 40), wave=st.floats(0, 0.1), period_s=st.floats(3, 120))
def test_a_load_that_wavers_by_a_tenth_moves_nothing(
    offered: float, wave: float, period_s: float
) -> None:
    def wavering(now: float) -> float:
        return offered * (1 + (wave if now % period_s < period_s / 2 else -wave))

    moments = simulate(wavering, 600)
    assert changes(moments[len(moments) // 3 :]) == 0


def test_ten_times_the_load_is_met_without_starting_too_much() -> None:
    plant = Plant()
    moments = simulate(step, 300, plant)
    enough = ceil(6.0 / SCALING.target_utilization)
    assert max(moment.target for moment in moments) <= 1.25 * enough
    late = [m.time for m in moments if 30 <= m.time < 150 and m.wait_s > SCALING.target_wait_s]
    assert max(late) - 30 <= plant.start_s + 10
    assert moments[-1].target == 1


def test_a_gateway_that_refuses_hides_demand_but_does_not_stop_growth() -> None:
    moments = simulate(step, 150, Plant(queue_limit=4))
    assert moments[-1].running >= 6
    reached = next(moment.time for moment in moments if moment.running >= 6)
    assert reached - 30 <= 45
