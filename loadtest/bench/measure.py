"""Workloads on a running system, repeated in turn."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from loadtest.bench.load import Measurement, drive
from loadtest.bench.processes import busy_seconds, cpu_by_role
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import Workload
from loadtest.processes import family


@dataclass(frozen=True)
class Pace:
    """How long and how often is measured.

    Attributes:
        warm_up_s: Seconds before each measurement that are not counted.
        seconds: Seconds of each measurement.
        repeats: Rounds; medians over them are reported.
    """

    warm_up_s: float
    seconds: float
    repeats: int


@dataclass(frozen=True)
class Sample:
    """One measurement of one workload.

    Attributes:
        measurement: What the load generator saw.
        cpu_ms: CPU milliseconds of a request, by role.
        others_cpu: CPUs that processes which have no part in this took meanwhile.
    """

    measurement: Measurement
    cpu_ms: dict[str, float]
    others_cpu: float


def sample(
    url: str,
    workload: Workload,
    texts: Texts,
    pace: Pace,
    roots: Iterable[psutil.Process],
    *,
    key: str = "text",
) -> Sample:
    """Measure one workload once.

    Args:
        url: Where requests are posted to.
        workload: What is asked.
        texts: Where texts come from; one source for a system's whole life.
        pace: Warm-up and length.
        roots: Processes whose descendants, themselves included, are the system.
        key: Under which a request carries its texts.
    """
    known = list(family(roots))
    readings: list[tuple[dict[str, float], float]] = []
    measured = drive(
        url,
        workload.requests(texts, key),
        connections=workload.connections,
        warm_up_s=pace.warm_up_s,
        seconds=pace.seconds,
        at_edges=lambda: readings.append((cpu_by_role(known), busy_seconds())),
    )
    (before, busy_before), (after, busy_after) = readings
    cpu_s = {role: after[role] - before[role] for role in after}
    cpu_s["generator"] = measured.generator_cpu * measured.seconds
    answered = measured.requests_s * measured.seconds
    return Sample(
        measured,
        {role: used * 1000 / answered for role, used in cpu_s.items()},
        max(0.0, busy_after - busy_before - sum(cpu_s.values())) / measured.seconds,
    )


def medians(samples: Sequence[Sample]) -> dict[str, Any]:
    """Summarize the samples of one workload.

    Returns:
        The median of every figure; `spread`, the range of texts a second over its median; and
        the largest `others_cpu`.
    """
    figures = [asdict(each.measurement) for each in samples]
    summary: dict[str, Any] = {
        name: statistics.median(each[name] for each in figures) for name in figures[0]
    }
    speeds = [each["texts_s"] for each in figures]
    summary["spread"] = (max(speeds) - min(speeds)) / summary["texts_s"]
    summary["cpu_ms"] = {
        role: statistics.median(each.cpu_ms.get(role, 0.0) for each in samples)
        for role in samples[0].cpu_ms
    }
    summary["others_cpu"] = max(each.others_cpu for each in samples)
    return summary
