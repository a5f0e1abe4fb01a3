"""The figures of a run, as rows of a table."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from loadtest.observer import LOAD_GENERATOR
from loadtest.report.knee import knee
from loadtest.report.run import Run
from loadtest.results import Latency

PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p999", "max")
SCALED: Final = ("gateway", "classifier")


class Figure(NamedTuple):
    """A figure of a run.

    Attributes:
        group: What it is about.
        label: What it says.
        value: None where the run has no such thing.
        unit: Its unit, or nothing.
        decimals: How many are shown.
    """

    group: str
    label: str
    value: float | None
    unit: str = ""
    decimals: int = 0

    def __str__(self) -> str:
        """Return the value as a person reads it."""
        return "-" if self.value is None else f"{self.value:,.{self.decimals}f}"


class Row(NamedTuple):
    """A figure of each run.

    Attributes:
        figures: In the order of the runs.
        ratio: The last value over the first, where there are two and the first is not 0.
    """

    figures: tuple[Figure, ...]
    ratio: float | None


def rows(runs: Sequence[Run]) -> list[Row]:
    """Return the figures of one run, or of two with their ratios."""
    columns = [{(f.group, f.label): f for f in _figures(run)} for run in runs]
    keys = dict.fromkeys(key for column in columns for key in column)
    table = []
    for group, label in keys:
        known = next(column[group, label] for column in columns if (group, label) in column)
        missing = known._replace(value=None)
        figures = tuple(column.get((group, label), missing) for column in columns)
        table.append(Row(figures, _ratio(figures)))
    return table


def _ratio(figures: Sequence[Figure]) -> float | None:
    first, last = figures[0].value, figures[-1].value
    return last / first if len(figures) > 1 and first and last is not None else None


def _figures(run: Run) -> Iterator[Figure]:
    summary, requests, texts = run.summary, run.summary.requests, run.summary.texts
    yield Figure("Throughput", "requests", requests.per_second, "/s", 1)
    yield Figure("Throughput", "texts", texts.count / summary.duration_s, "/s", 1)
    if summary.scenario == "breakpoint":
        found = knee(run.series, summary.p99_limit_ms)
        limit = f"highest rate with p99 < {summary.p99_limit_ms:g} ms"
        yield Figure(
            "Throughput", limit if found.reached else f"{limit}, limit not reached",
            found.per_second, "/s", 1,
        )  # fmt: skip
    yield Figure("Requests", "sent", requests.count)
    yield Figure("Requests", "failed", requests.failed)
    yield Figure("Requests", "refused with 429", requests.refused)
    yield Figure("Requests", "not sent in time", requests.dropped)
    ratio = texts.hit_ratio
    yield Figure("Texts", "from the cache", None if ratio is None else 100 * ratio, "%", 2)
    yield from _latency("Latency of answers", summary.latency_ms.answered)
    yield from _latency("Latency, all texts cached", summary.latency_ms.cached)
    yield from _latency("Latency, some texts computed", summary.latency_ms.computed)
    if summary.latency_ms.refused:
        yield from _latency("Latency of refusals", summary.latency_ms.refused)
    yield from _observed(run)


def _latency(group: str, latency: Latency | None) -> Iterator[Figure]:
    for name in PERCENTILES:
        value = None if latency is None else getattr(latency, name)
        yield Figure(group, "p99.9" if name == "p999" else name, value, "ms", 1)


def _observed(run: Run) -> Iterator[Figure]:
    if run.usage:
        ready = sum(usage.ready for usage in run.usage) / len(run.usage)
        yield Figure("Service", "ready within 1 s", 100 * ready, "% of the time", 1)
    if not run.roles:
        return
    for role in SCALED:
        yield Figure("Service", f"most {role} replicas", run.replicas(role).max())
    memory = np.sum([run.memory_mib(role) for role in run.roles], axis=0)
    yield Figure("Service", "memory at the start", memory[0], "MiB")
    yield Figure("Service", "memory at the end", memory[-1], "MiB")
    yield Figure(
        "Service", "processor", sum(run.cores(role).mean() for role in run.roles), "cores", 2
    )
    yield Figure("Client", "processor, k6", run.cores(LOAD_GENERATOR).mean(), "cores", 2)
