"""A service in numbers: load, queue, replicas that take time to start, late metrics."""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import numpy as np
from ray.serve.autoscaling_policy import _apply_delay_logic
from ray.serve.config import AutoscalingConfig

from serve_app.autoscaling import (
    Fleet,
    Series,
    classifier_stats,
    classifier_workload,
    gateway_stats,
    read_classifier,
    read_gateway,
    required_replicas,
)
from serve_app.settings import ScalingSettings

STEP_S = 0.1
EPOCH = 1e9
# Characters of a replica's work of one second.
SECOND = 1_000_000
# What a replica takes beyond what it computes; the rest waits in the gateway.
TAKEN_S = 1.0


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
    """What the policy cannot change.

    Attributes:
        start_s: How long a replica takes to start.
        metrics_s: Seconds between two reports.
        late_s: How long a report is on its way.
        demand_s: Over how long demand is averaged.
        upscale_delay_s: Ray's.
        downscale_delay_s: Ray's.
        max_replicas: Maximum of replicas.
        queue_limit: Work that may wait; more is refused.
        max_wait_s: So is more than what the running replicas do within this.
        retry_s: After how long what is refused comes again, however often; never where infinite.
        gateways: Among which chance chooses for each attempt.
        request: Work of a request, of which as many come as chance has it; zero for an even flow.
        seed: Of that chance.
    """

    start_s: float = 6.0
    metrics_s: float = 0.5
    late_s: float = 0.5
    demand_s: float = 5.0
    upscale_delay_s: float = 0.5
    downscale_delay_s: float = 30.0
    max_replicas: int = 100
    queue_limit: float = inf
    max_wait_s: float = inf
    retry_s: float = inf
    gateways: int = 1
    request: float = 0.0
    seed: int = 0


class Reports:
    """What the controller knows: one gateway and, as one reporter, all classifiers."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._sent: deque[tuple[float, dict[str, float]]] = deque()
        self._known: dict[str, deque[tuple[float, float]]] = {}

    def send(self, now: float, arrived: float, taken: float, held: float) -> None:
        chars, unsent = round(arrived * SECOND), round(held * SECOND)
        gateway = gateway_stats(cpu_seconds=0, wanted_chars=chars, held_chars=unsent)
        classifier = classifier_stats(waiting=taken, rate=1.0, tokens_per_char=1 / SECOND)
        self._sent.append((now, gateway | classifier))

    def known(self, now: float) -> dict[str, Series]:
        while self._sent and self._sent[0][0] <= now - self._plant.late_s:
            time, published = self._sent.popleft()
            for name, value in published.items():
                kept = self._known.setdefault(name, deque(maxlen=30))
                kept.append((EPOCH + time, value))
        return {name: list(samples) for name, samples in self._known.items()}


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
        max_replicas=plant.max_replicas,
        upscale_delay_s=plant.upscale_delay_s,
        downscale_delay_s=plant.downscale_delay_s,
    )
    chance = np.random.default_rng(plant.seed)
    reports = Reports(plant)
    target, state = running, dict[str, Any]()
    starting: deque[tuple[float, int]] = deque()
    again: deque[tuple[float, float, int]] = deque()
    waiting = arrived = 0.0
    moments = []
    for step in range(round(seconds / STEP_S)):
        now = step * STEP_S
        while starting and starting[0][0] <= now:
            running += starting.popleft()[1]
        work = offered(now) * STEP_S
        if plant.request:
            work = chance.poisson(work / plant.request) * plant.request
        attempts = [(work, 1)]
        while again and again[0][0] <= now:
            attempts.append(again.popleft()[1:])
        # A gateway counts what it has not refused before.
        arrived += sum(part * (1 - 1 / plant.gateways) ** (n - 1) for part, n in attempts)
        offered_now = sum(part for part, _ in attempts)
        limit = min(plant.queue_limit, plant.max_wait_s * running)
        admitted = max(0.0, min(offered_now, limit - waiting + running * STEP_S))
        if offered_now > admitted:
            left = 1 - admitted / offered_now
            again += [(now + plant.retry_s, part * left, n + 1) for part, n in attempts]
        waiting = max(0.0, waiting + admitted - running * STEP_S)
        if step % round(plant.metrics_s / STEP_S) == 0:
            taken = min(waiting, running * TAKEN_S)
            reports.send(now, arrived, taken, waiting - taken)
        fleet = Fleet(running, target, 1, plant.max_replicas)
        desired = _asked(reports.known(now), now, plant, fleet, settings)
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


def _asked(
    known: dict[str, Series], now: float, plant: Plant, fleet: Fleet, settings: ScalingSettings
) -> int:
    since = EPOCH + now - settings.stale_s
    workload = classifier_workload(
        [read_classifier(known, since)], [read_gateway(known, since, plant.demand_s)]
    )
    return required_replicas(workload, fleet, settings)
