"""Time series as Ray hands them to a policy."""

from typing import NamedTuple

NOW = 1_000.0


class Sample(NamedTuple):
    timestamp: float
    value: float


def series(*values: float, until: float = NOW) -> list[Sample]:
    """Return samples that are a second apart."""
    first = until - len(values) + 1
    return [Sample(first + index, value) for index, value in enumerate(values)]
