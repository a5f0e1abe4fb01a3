"""What a replica reports about its work, and what the reports of all replicas say together."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple, Protocol

from serve_app.autoscaling.policy import Load

WAITING: Final = "work_waiting"
ARRIVED: Final = "work_arrived"
CALLS: Final = "calls_arrived"
RATE: Final = "work_rate"


class Sample(Protocol):
    """One value of a time series, as Ray keeps it."""

    @property
    def timestamp(self) -> float:
        """Seconds since the epoch, on the replica's clock."""

    @property
    def value(self) -> float:
        """The value at that time."""


Series = Sequence[Sample]


class Report(NamedTuple):
    """One replica's work, from its latest samples.

    Attributes:
        waiting: Units of work that wait or are being done.
        arriving: Units that arrived each second.
        calls: Calls that arrived each second.
        rate: Units that it does each second when it is busy; None where not yet measured.
    """

    waiting: float
    arriving: float
    calls: float
    rate: float | None


def stats(*, waiting: float, arrived: float, calls: float, rate: float | None) -> dict[str, float]:
    """Return what a replica publishes through `record_autoscaling_stats`.

    Args:
        waiting: Units of work that wait or are being done.
        arrived: Units that have arrived since the replica started.
        calls: Calls that have arrived since the replica started.
        rate: Units that it does each second when it is busy; None where not yet measured.
    """
    published = {WAITING: float(waiting), ARRIVED: float(arrived), CALLS: float(calls)}
    return published if rate is None else published | {RATE: rate}


def read(series: Mapping[str, Series], now: float, stale_s: float) -> Report | None:
    """Read a replica's report.

    Args:
        series: Its samples of the look-back period, by name, oldest first.
        now: Seconds since the epoch.
        stale_s: Older samples count as none.

    Returns:
        None where it has not reported lately, or not what can be used.
    """
    waiting = _latest(series.get(WAITING, ()), now - stale_s)
    if waiting is None:
        return None
    rate = _latest(series.get(RATE, ()), now - stale_s)
    return Report(
        waiting=waiting,
        arriving=_growth(series.get(ARRIVED, ())),
        calls=_growth(series.get(CALLS, ())),
        rate=rate if rate else None,
    )


class Queue(NamedTuple):
    """Calls that no replica has taken yet, at those who call.

    Attributes:
        calls: How many wait.
        growth: By how many they become more each second.
    """

    calls: float
    growth: float


def combine(reports: Iterable[Report | None], queue: Queue) -> Load | None:
    """Put the reports of all running replicas together.

    A replica that has not measured its rate counts with the mean of those that have. Calls that
    no replica has taken yet count with the mean work of those that arrived; and what arrives is
    what replicas take and by what the queue to them grows, so that neither a queue that builds up
    hides work, nor one that new replicas empty looks like new work.

    Args:
        reports: One entry per running replica; None where it has not reported lately.
        queue: Calls that wait for a replica.

    Returns:
        None while no replica has measured its rate: nothing can be said then.
    """
    entries = list(reports)
    known = [report for report in entries if report is not None]
    rates = [report.rate for report in known if report.rate is not None]
    if not rates:
        return None
    arriving = sum(report.arriving for report in known)
    calls = sum(report.calls for report in known)
    each = arriving / calls if calls else 0.0
    if not isfinite(queue.calls + queue.growth):
        queue = Queue(0.0, 0.0)
    return Load(
        arriving=max(0.0, arriving + each * queue.growth),
        waiting=sum(report.waiting for report in known) + each * queue.calls,
        rate=sum(rates) / len(rates),
        complete=len(known) == len(entries),
    )


def _latest(series: Series, since: float) -> float | None:
    if not series or series[-1].timestamp < since:
        return None
    value = series[-1].value
    return value if isfinite(value) and value >= 0 else None


def _growth(series: Series) -> float:
    """Return by how much a counter grew each second, zero where that cannot be told."""
    usable = [sample for sample in series if isfinite(sample.value)]
    if len(usable) < 2:  # noqa: PLR2004 - a rate takes two points
        return 0.0
    first, last = usable[0], usable[-1]
    seconds = last.timestamp - first.timestamp
    return max(0.0, last.value - first.value) / seconds if seconds > 0 else 0.0
