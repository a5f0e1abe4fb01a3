"""A deployment in numbers: load, queue, replicas that take time to start, late metrics."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ray.serve._private.common import TimeStampedValue
from ray.serve.autoscaling_policy import _apply_delay_logic
from ray.serve.config import AutoscalingConfig

from serve_app.autoscaling.policy import Fleet, replicas
from serve_app.autoscaling.signal import ARRIVED, RATE, WAITING, Queue, Report, combine, read
from serve_app.settings import ScalingSettings

STEP_S = 0.1
EPOCH = 1e9


class Moment(NamedTuple):
    """State at one time; work in units of what one replica does each second."""

    time: float
    offered: float
    waiting: float
    running: int
    target: int

    @property
    def wait_s(self) -> float:
        return self.waiting / self.running


class Plant(NamedTuple):
    """What the policy cannot change."""

    start_s: float = 6.0
    metrics_s: float = 1.0
    look_back_s: float = 3.0
    upscale_delay_s: float = 1.0
    downscale_delay_s: float = 30.0
    most: int = 100
    queue_limit: float = float("inf")


def simulate(
    offered: Callable[[float], float],
    seconds: float,
    plant: Plant = Plant(),  # noqa: B008 - an immutable tuple
    settings: ScalingSettings = ScalingSettings(),  # noqa: B008 - immutable
    running: int = 1,
) -> list[Moment]:
    """Run the policy, with Ray's own delays, against a load.

    Args:
        offered: Work that is offered each second, by time.
        seconds: How long.
        plant: What surrounds the policy.
        settings: The policy's.
        running: Replicas at the start.
    """
    config = AutoscalingConfig(
        max_replicas=plant.most,
        upscale_delay_s=plant.upscale_delay_s,
        downscale_delay_s=plant.downscale_delay_s,
    )
    target, state = running, dict[str, Any]()
    starting: deque[tuple[float, int]] = deque()
    waiting = arrived = 0.0
    samples: deque[tuple[float, float, float]] = deque()
    seen: Report | None = None
    moments = []
    for step in range(round(seconds / STEP_S)):
        now = step * STEP_S
        while starting and starting[0][0] <= now:
            running += starting.popleft()[1]
        admitted = min(offered(now) * STEP_S, plant.queue_limit - waiting + running * STEP_S)
        arrived += admitted
        waiting = max(0.0, waiting + admitted - running * STEP_S)
        if step % round(plant.metrics_s / STEP_S) == 0:
            samples.append((now, waiting, arrived))
            while samples[0][0] < now - plant.look_back_s:
                samples.popleft()
            seen = _report(samples, now)
        fleet = Fleet(running, target, 1, plant.most)
        desired = replicas(combine([seen], Queue(0, 0)), fleet, settings)
        decided, state = _apply_delay_logic(desired, target, config, state, _now=EPOCH + now)
        if decided > target:
            starting.append((now + plant.start_s, decided - target))
        while decided < target and starting and decided < running + sum(n for _, n in starting):
            surplus = running + sum(n for _, n in starting) - decided
            ready, count = starting.pop()
            if count > surplus:
                starting.append((ready, count - surplus))
        running = min(running, decided)
        target = decided
        moments.append(Moment(now, offered(now), waiting, running, target))
    return moments


def _report(samples: deque[tuple[float, float, float]], now: float) -> Report | None:
    # The fleet as one reporter: its rate is one replica's, its work that of all.
    series = {
        WAITING: [TimeStampedValue(EPOCH + t, waiting) for t, waiting, _ in samples],
        ARRIVED: [TimeStampedValue(EPOCH + t, arrived) for t, _, arrived in samples],
        RATE: [TimeStampedValue(EPOCH + t, 1.0) for t, _, _ in samples],
    }
    return read(series, EPOCH + now, stale_s=10)
