"""Figures that replicas report about their work through `record_autoscaling_stats`."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

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
