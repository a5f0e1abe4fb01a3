"""From the work that arrives and waits to a number of replicas. Knows nothing of Ray.

Work is counted in units that a replica does at a known rate: tokens for the classifier, seconds
of CPU time for the gateway.
"""

from collections.abc import Iterable
from math import ceil, floor
from typing import NamedTuple

from serve_app.autoscaling.replica_stats import ClassifierReport, GatewayReport
from serve_app.settings import ScalingSettings


class Load(NamedTuple):
    """What the replicas of a deployment have to do.

    Attributes:
        arriving: Units of work that arrive each second.
        waiting: Units that wait or are being done.
        rate: Units that one replica does each second when it is busy; positive.
        complete: Whether every running replica has reported lately.
        rising: As `arriving`, but of the last moments alone, in which chance weighs more.
    """

    arriving: float
    waiting: float
    rate: float
    complete: bool
    rising: float = 0.0


class Fleet(NamedTuple):
    """The replicas of a deployment.

    Attributes:
        running: How many take work now.
        target: How many there are to be; the others are starting or stopping.
        least: Fewest allowed.
        most: Most allowed.
    """

    running: int
    target: int
    least: int
    most: int


def replicas(load: Load | None, fleet: Fleet, settings: ScalingSettings) -> int:
    """Return how many replicas there should be.

    Enough to do what arrives at `target_utilization` and, while what waits would take longer
    than `target_wait_s`, more by what is too much, but by at most `max_surge` or one: a queue that
    grew while replicas start is no reason to start as many again. Such a queue tells also that more
    arrives than before, so that meanwhile what rises counts as soon as it is seen. Replicas are
    released only once the others would do at `release_utilization`, so that between the two
    thresholds nothing moves, and never while the queue keeps them busy for `target_wait_s` or while
    a report is missing.

    Args:
        load: What there is to do; None while nothing is known, which changes nothing.
        fleet: The replicas as they are.
        settings: Tunables.
    """
    wanted = fleet.target if load is None else _wanted(load, fleet, settings)
    return max(fleet.least, min(fleet.most, wanted))


def _wanted(load: Load, fleet: Fleet, settings: ScalingSettings) -> int:
    busy = min(load.arriving / load.rate, fleet.most)
    backlog = min(load.waiting / (load.rate * settings.target_wait_s), fleet.most)
    needed = busy / settings.target_utilization
    late = max(0.0, backlog - fleet.running)
    # One more is the least that shortens a queue, however small the fleet.
    surge = max(ceil(needed) + 1, floor(needed * (1 + settings.max_surge)))
    rising = min(load.rising / load.rate, fleet.most) if late else 0.0
    soon = ceil(rising / settings.target_utilization)
    grow = max(ceil(needed), soon, min(ceil(needed + late), surge))
    if not load.complete:
        return max(grow, fleet.target)
    keep = max(ceil(busy / settings.release_utilization), ceil(backlog))
    return max(grow, min(fleet.target, keep))


def classifier_load(
    classifiers: Iterable[ClassifierReport | None], gateways: Iterable[GatewayReport | None]
) -> Load | None:
    """Return the load of the classifiers, in tokens.

    What arrives is what comes to the gateways, whether or not replicas are there to take it: what
    classifiers take tells what they can do, not what is asked for. A classifier that has not
    measured its rate counts with the mean of those that have.

    Args:
        classifiers: One entry per running replica; None where it has not reported lately.
        gateways: Likewise.

    Returns:
        None while no classifier has measured its rate: nothing can be said then.
    """
    workers, callers = list(classifiers), list(gateways)
    known = [report for report in workers if report]
    asking = [report for report in callers if report]
    rates = [report.rate for report in known if report.rate is not None]
    ratios = [report.per_char for report in known if report.per_char is not None]
    if not rates or not ratios:
        return None
    per_char = sum(ratios) / len(ratios)
    wanted = [report.wanted for report in asking if report.wanted is not None]
    rising = [report.rising for report in asking if report.rising is not None]
    held = sum(report.held for report in asking)
    return Load(
        arriving=sum(wanted) * per_char,
        waiting=sum(report.waiting for report in known) + held * per_char,
        rate=sum(rates) / len(rates),
        complete=len(known) == len(workers) and len(wanted) == len(callers) > 0,
        rising=sum(rising) * per_char,
    )


def gateway_load(gateways: Iterable[GatewayReport | None]) -> Load | None:
    """Return the load of the gateways, in CPU seconds, of which one does one each second.

    Args:
        gateways: One entry per running replica; None where it has not reported lately.

    Returns:
        None while nothing is known of any.
    """
    reports = list(gateways)
    used = [report.cpu for report in reports if report and report.cpu is not None]
    if not used:
        return None
    return Load(arriving=sum(used), waiting=0.0, rate=1.0, complete=len(used) == len(reports))
