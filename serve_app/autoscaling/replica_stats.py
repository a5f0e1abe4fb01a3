"""What replicas report about their work through `record_autoscaling_stats`."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

WAITING: Final = "tokens_waiting"
RATE: Final = "tokens_per_second"
PER_CHAR: Final = "tokens_per_char"
CPU: Final = "cpu_seconds"
WANTED: Final = "chars_wanted"
HELD: Final = "chars_held"

# The end of the time over which demand is averaged, which tells first of a load that rises.
RISING: Final = 0.4

# No figure that a replica can reach, and small enough for sums and products.
MOST: Final = 1e15


class Sample(Protocol):
    """One value of a time series, as Ray keeps it."""

    @property
    def timestamp(self) -> float:
        """Seconds since the epoch, on the replica's clock."""

    @property
    def value(self) -> float:
        """The value at that time."""


Series = Sequence[Sample]


class ClassifierReport(NamedTuple):
    """One classifier's work.

    Attributes:
        waiting: Tokens that wait or are being computed.
        rate: Tokens that it does each second when it is busy; None where not yet measured.
        per_char: Tokens that a character makes; None while no text has come.
    """

    waiting: float
    rate: float | None
    per_char: float | None


class GatewayReport(NamedTuple):
    """One gateway's work, and what it wants of the classifiers.

    Attributes:
        cpu: CPU seconds that its process takes each second; None where that cannot be told yet.
        wanted: Characters for the model that arrive each second; None likewise.
        held: Characters that no classifier has been asked for yet.
        rising: As `wanted`, but of the last moments alone.
    """

    cpu: float | None
    wanted: float | None
    held: float
    rising: float | None = None


def classifier_stats(
    *, waiting: float, rate: float | None, tokens_per_char: float | None
) -> dict[str, float]:
    """Return what a classifier publishes; see `ClassifierReport`."""
    measured = {WAITING: float(waiting), RATE: rate, PER_CHAR: tokens_per_char}
    return {name: value for name, value in measured.items() if value is not None}


def gateway_stats(*, cpu_seconds: float, wanted_chars: int, held_chars: int) -> dict[str, float]:
    """Return what a gateway publishes.

    Args:
        cpu_seconds: CPU time of its process since it started.
        wanted_chars: Characters for the model that have arrived since it started; see
            `serve_app.gateway.admission`.
        held_chars: Characters that no classifier has been asked for yet.
    """
    return {CPU: cpu_seconds, WANTED: float(wanted_chars), HELD: float(held_chars)}


def read_classifier(series: Mapping[str, Series], since: float) -> ClassifierReport | None:
    """Read a classifier's report.

    Args:
        series: Its samples of the look-back period, by name, oldest first.
        since: Older samples, in seconds since the epoch, count as none.

    Returns:
        None where it has not reported lately, or not what can be used.
    """
    waiting = _latest(series.get(WAITING, ()), since)
    if waiting is None:
        return None
    return ClassifierReport(
        waiting=waiting,
        rate=_latest(series.get(RATE, ()), since) or None,
        per_char=_latest(series.get(PER_CHAR, ()), since),
    )


def read_gateway(
    series: Mapping[str, Series], since: float, demand_s: float
) -> GatewayReport | None:
    """Read a gateway's report.

    Args:
        series: Its samples of the look-back period, by name, oldest first.
        since: Older samples, in seconds since the epoch, count as none.
        demand_s: Over how many seconds, back from the last sample, what is wanted is averaged.

    Returns:
        None where it has not reported lately, or not what can be used.
    """
    held = _latest(series.get(HELD, ()), since)
    if held is None:
        return None
    wanted = series.get(WANTED, ())
    return GatewayReport(
        cpu=_growth(series.get(CPU, ())),
        wanted=_growth(_last(wanted, demand_s)),
        held=held,
        rising=_growth(_last(wanted, RISING * demand_s)),
    )


def _usable(value: float) -> bool:
    return 0 <= value <= MOST


def _latest(series: Series, since: float) -> float | None:
    if not series or series[-1].timestamp < since or not _usable(series[-1].value):
        return None
    return series[-1].value


def _last(series: Series, seconds: float) -> Series:
    return [each for each in series if each.timestamp >= series[-1].timestamp - seconds]


def _growth(series: Series) -> float | None:
    """Return by how much a counter grew each second, None where that cannot be told."""
    usable = [sample for sample in series if _usable(sample.value)]
    if len(usable) < 2:  # noqa: PLR2004 - a rate takes two points
        return None
    first, last = usable[0], usable[-1]
    seconds = last.timestamp - first.timestamp
    return max(0.0, last.value - first.value) / seconds if seconds > 0 else None
