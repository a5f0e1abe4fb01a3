"""Workloads on a running system, repeated in turn."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import psutil
import uvloop

from loadtest.bench.texts import Texts
from loadtest.bench.workloads import Workload
from loadtest.connections import Answer, Request
from loadtest.generator import OK, Generator, Record, Stream
from loadtest.processes import busy_seconds, cpu_by_role, family

# Every system answers in the form of our contract, in which each prediction names this once.
MARK: Final = b'"POSITIVE"'
ANSWER_TIMEOUT_S: Final = 60.0


class WrongAnswer(Exception):
    """A system answered otherwise than every correct one would."""


@dataclass(frozen=True)
class Measurement:
    """What was answered in a span of time.

    Attributes:
        seconds: How long it was.
        requests_s: Requests answered a second.
        texts_s: Texts answered a second.
        p50_ms: Median time from request to answer.
        p95_ms: Its 95th percentile.
        p99_ms: Its 99th percentile.
        generator_cpu: CPUs that the load generator itself used.
    """

    seconds: float
    requests_s: float
    texts_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    generator_cpu: float


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


def drive(
    url: str,
    requests: Iterator[Request],
    connections: int,
    pace: Pace,
    at_edges: Callable[[], None] = lambda: None,
) -> Measurement:
    """Load a system in a closed loop and count what it answers.

    Args:
        url: Where requests are posted to.
        requests: What to ask; never ends.
        connections: How many connections ask at once.
        pace: How long; longer where not even one answer a connection has come by then.
        at_edges: Called when the counting begins and when it ends.

    Raises:
        WrongAnswer: An answer was not 200, had another number of predictions, or none came.
    """
    generator = Generator([url], _problem, headers=False, strict=True)
    return uvloop.run(_drive(generator, requests, connections, pace, at_edges))


async def _drive(
    generator: Generator,
    requests: Iterator[Request],
    connections: int,
    pace: Pace,
    at_edges: Callable[[], None],
) -> Measurement:
    stream = Stream("", connections=connections)
    running = asyncio.ensure_future(generator.run([(stream, requests)]))

    async def work(seconds: float) -> None:
        await asyncio.wait({running}, timeout=seconds)
        if generator.failure:
            raise WrongAnswer(generator.failure)
        if running.done():
            running.result()

    try:
        await work(pace.warm_up_s)
        generator.records = []
        at_edges()
        cpu, started = time.process_time(), time.perf_counter()
        await work(pace.seconds)
        while (
            len(generator.records) < connections
            and time.perf_counter() - started < ANSWER_TIMEOUT_S
        ):
            await work(1.0)
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        records = generator.records
        at_edges()
        # What is under way is waited for, lest it burden the next measurement.
        generator.records, generator.stopping = [], True
        await work(ANSWER_TIMEOUT_S)
        if not running.done():
            raise WrongAnswer(f"no answer within {ANSWER_TIMEOUT_S:.0f} s")
    finally:
        running.cancel()
    if not records:
        raise WrongAnswer(f"no answer within {pace.seconds:.0f} s; measure longer")
    return _measurement(records, elapsed, cpu)


def _measurement(records: Sequence[Record], seconds: float, cpu_s: float) -> Measurement:
    p50, p95, p99 = np.percentile([record.seconds * 1000 for record in records], [50, 95, 99])
    return Measurement(
        seconds=seconds,
        requests_s=len(records) / seconds,
        texts_s=sum(record.texts for record in records) / seconds,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        generator_cpu=cpu_s / seconds,
    )


def _problem(request: Request, answer: Answer) -> str:
    if answer.status == OK and answer.body.count(MARK) == len(request.texts):
        return ""
    wanted = f"{len(request.texts)} predictions"
    return f"status {answer.status} and not {wanted}: {answer.body[:300]!r}"


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
        workload.connections,
        pace,
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
