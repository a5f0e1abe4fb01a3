"""The number of replicas, computed from the work that arrives and waits. It does not import Ray.

Replicas report figures through `record_autoscaling_stats`. Work is counted in units that a replica
does at a known rate: tokens for the classifier, seconds of CPU time for the gateway.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor, inf
from typing import Final, NamedTuple

from serve_app.settings import ScalingSettings

WAITING: Final = "tokens_waiting"
RATE: Final = "tokens_per_second"
PER_CHAR: Final = "tokens_per_char"
CPU: Final = "cpu_seconds"
WANTED: Final = "chars_wanted"
HELD: Final = "chars_held"

# The end of the time over which demand is averaged: a load that rises shows there first.
RISING_SHARE: Final = 0.4
# More than any replica can reach, and small enough for sums and products.
MAX_VALUE: Final = 1e15

# Samples of one figure, oldest first: seconds since the epoch on the replica's clock, value.
Series = Sequence[tuple[float, float]]


class ClassifierReport(NamedTuple):
    """One classifier's work: tokens that wait or are being computed.

    `rate` is in tokens a second of a busy replica, `per_char` in tokens a character; None before
    they are measured.
    """

    waiting: float
    rate: float | None
    per_char: float | None


class GatewayReport(NamedTuple):
    """One gateway's work in CPU seconds a second, and what it wants of the classifiers.

    Characters `wanted` arrive each second, `rising` those of the last moments alone; `held` are the
    characters that no classifier has been asked for yet.
    """

    cpu: float
    wanted: float
    held: float
    rising: float = 0.0


def classifier_stats(
    *, waiting: float, rate: float | None, tokens_per_char: float | None
) -> dict[str, float]:
    """Return what a classifier publishes; see `ClassifierReport`."""
    measured = {WAITING: float(waiting), RATE: rate, PER_CHAR: tokens_per_char}
    return {name: value for name, value in measured.items() if value is not None}


def gateway_stats(*, cpu_seconds: float, wanted_chars: int, held_chars: int) -> dict[str, float]:
    """Return what a gateway publishes; CPU time and wanted characters count from its start."""
    return {CPU: cpu_seconds, WANTED: float(wanted_chars), HELD: float(held_chars)}


def read_classifier(samples: Mapping[str, Series], since: float) -> ClassifierReport | None:
    """Return a classifier's report; None where it has not reported lately, or no usable value.

    The samples are those of the look-back period, by name; those before `since` do not count.
    """
    waiting, rate, per_char = (_latest(samples, name, since) for name in (WAITING, RATE, PER_CHAR))
    return None if waiting is None else ClassifierReport(waiting, rate or None, per_char)


def read_gateway(
    samples: Mapping[str, Series], since: float, demand_s: float
) -> GatewayReport | None:
    """Return a gateway's report, likewise; a rate takes two samples.

    `wanted` is averaged over `demand_s` seconds, back from the last sample.
    """
    held = _latest(samples, HELD, since)
    cpu = _growth_per_s(samples, CPU, inf)
    wanted = _growth_per_s(samples, WANTED, demand_s)
    if held is None or cpu is None or wanted is None:
        return None
    rising = _growth_per_s(samples, WANTED, RISING_SHARE * demand_s)
    return GatewayReport(cpu, wanted, held, rising or 0.0)


def _latest(samples: Mapping[str, Series], name: str, since: float) -> float | None:
    series = samples.get(name)
    if not series:
        return None
    time, value = series[-1]
    return value if time >= since and 0 <= value <= MAX_VALUE else None


def _growth_per_s(samples: Mapping[str, Series], name: str, last_s: float) -> float | None:
    series = samples.get(name, ())
    usable = [
        (time, value)
        for time, value in series
        if time >= series[-1][0] - last_s and 0 <= value <= MAX_VALUE
    ]
    if len(usable) < 2 or usable[0][0] == usable[-1][0]:  # noqa: PLR2004
        return None
    (first_time, first), (last_time, last) = usable[0], usable[-1]
    return max(0.0, last - first) / (last_time - first_time)


class Workload(NamedTuple):
    """The work of a deployment's replicas, of which a busy one does `rate` units each second.

    Units arrive each second, on average and over the last moments alone (`rising`), in which chance
    weighs more. It is `complete` if every running replica has reported lately.
    """

    arriving: float
    waiting: float
    rate: float
    complete: bool
    rising: float = 0.0


class Fleet(NamedTuple):
    """The replicas of a deployment: how many run, and how many there are to be within bounds."""

    running: int
    target: int
    min_replicas: int
    max_replicas: int


def required_replicas(workload: Workload | None, fleet: Fleet, settings: ScalingSettings) -> int:
    """Return how many replicas there should be, within the bounds of the fleet.

    - Arriving work uses at most `target_utilization` of the replicas.
    - If the queue would take longer than `target_wait_s`, add replicas for the excess, up to
      `max_surge` of what arriving work needs, or one: a queue that grew while replicas start is
      no reason to start as many again.
    - During such a queue, the work of the last moments counts at once if it is more.
    - Release replicas only if the others are used less than `release_utilization`, and none that
      the queue keeps busy for `target_wait_s`. Between the two thresholds nothing moves.
    - Release no replica while a report is missing, and change nothing without any report (None).

    An example of 10 replicas that do 100 tokens a second each, with the default settings:

    >>> fleet = Fleet(running=10, target=10, min_replicas=1, max_replicas=100)
    >>> def replicas(arriving: float, waiting: float = 0, rising: float = 0) -> int:
    ...     workload = Workload(arriving, waiting, rate=100, complete=True, rising=rising)
    ...     return required_replicas(workload, fleet, ScalingSettings())
    >>> replicas(arriving=900)  # 9 are busy: 9 / 0.75
    12
    >>> replicas(arriving=750, waiting=2100)  # 10.5 clear the queue in 2 s: 0.5 more than run
    11
    >>> replicas(arriving=750, waiting=9000)  # 45 clear it, but a quarter more than 10 is 12
    12
    >>> replicas(arriving=750, waiting=2100, rising=1500)  # 15 are soon busy: 15 / 0.75
    20
    >>> replicas(arriving=600)  # 6 are busy: no fewer than 6 / 0.6
    10
    >>> replicas(arriving=300)  # 3 are busy: 3 / 0.6
    5
    >>> replicas(arriving=300, waiting=1600)  # the queue keeps 8 busy for 2 s
    8
    """
    if workload is None:
        return max(fleet.min_replicas, min(fleet.max_replicas, fleet.target))
    # Replicas that arriving work keeps busy, and those that clear the queue in time.
    busy = min(workload.arriving / workload.rate, fleet.max_replicas)
    rising = min(workload.rising / workload.rate, fleet.max_replicas)
    clearing = min(workload.waiting / workload.rate / settings.target_wait_s, fleet.max_replicas)
    excess = max(0.0, clearing - fleet.running)

    needed = busy / settings.target_utilization
    # One more is the least that shortens a queue, however small the fleet.
    max_for_queue = max(ceil(needed) + 1, floor(needed * (1 + settings.max_surge)))
    for_queue = min(ceil(needed + excess), max_for_queue)
    for_rise = ceil(rising / settings.target_utilization) if excess else 0
    still_busy = max(ceil(busy / settings.release_utilization), ceil(clearing))
    to_keep = min(fleet.target, still_busy) if workload.complete else fleet.target
    wanted = max(ceil(needed), for_queue, for_rise, to_keep)
    return max(fleet.min_replicas, min(fleet.max_replicas, wanted))


def classifier_workload(
    classifiers: Sequence[ClassifierReport | None], gateways: Sequence[GatewayReport | None]
) -> Workload | None:
    """Return the work of the classifiers, in tokens; None while none has measured its rate.

    A running replica that has not reported lately is None. Arriving work is what comes to the
    gateways, whether or not replicas are there to take it. A classifier that has not measured its
    rate counts with the mean of those that have.
    """
    working = [report for report in classifiers if report]
    asking = [report for report in gateways if report]
    rates = [report.rate for report in working if report.rate is not None]
    ratios = [report.per_char for report in working if report.per_char is not None]
    if not rates or not ratios:
        return None
    per_char = sum(ratios) / len(ratios)
    held = sum(report.held for report in asking)
    return Workload(
        arriving=sum(report.wanted for report in asking) * per_char,
        waiting=sum(report.waiting for report in working) + held * per_char,
        rate=sum(rates) / len(rates),
        complete=len(gateways) > 0 and None not in classifiers and None not in gateways,
        rising=sum(report.rising for report in asking) * per_char,
    )


def gateway_workload(gateways: Sequence[GatewayReport | None]) -> Workload | None:
    """Return the work of the gateways in CPU seconds, of which a replica does one each second."""
    used = [report.cpu for report in gateways if report]
    if not used:
        return None
    return Workload(arriving=sum(used), waiting=0.0, rate=1.0, complete=None not in gateways)
