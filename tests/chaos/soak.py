"""Half an hour of mixed load with the embedded model: nothing grows."""

import os
import time
from collections import defaultdict
from contextlib import suppress
from typing import Final, NamedTuple

import httpx
import numpy as np

from loadtest.answers import long_texts, margins_of, revision_of, short_texts
from loadtest.configs import DEV
from loadtest.generator import Stream
from loadtest.processes import MIB, OTHER, ProcessUsage
from loadtest.ray_service import CLASSIFIER, GATEWAY, RayService, seconds_until
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic
from serve_app.console import say
from tests.chaos.departures import MAX_TASKS, METRICS_S, tasks, waiting
from tests.chaos.outcome import Row, row
from tests.chaos.stage import stage_of

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "30"))
RATE: Final = float(os.environ.get("SOAK_RATE", "20"))
# Caches fill, and allocators settle.
WARM_UP_SHARE: Final = 1 / 3
SAMPLE_S: Final = 5.0
PROGRESS_S: Final = 60.0
HOUR_S: Final = 3600.0
MAX_MIB_PER_HOUR: Final = 24.0
MAX_FDS: Final = 8
# All other processes of Ray, which come and go, count together.
REST: Final = "the rest of Ray"
# Few, so that memory's tier is full and turns over long before the end.
CACHE_ENTRIES: Final = 2000
TEXTS: Final = 6000
LONG_TEXTS: Final = 200


class Sample(NamedTuple):
    """A process at one time."""

    time: float
    rss: int
    fds: int
    threads: int


def soak() -> list[Row]:
    """Offer singles, bulk, long texts and clients who leave, and watch every process."""
    embedded = revision_of("embedded", [*short_texts(TEXTS), *long_texts(LONG_TEXTS)])
    known = margins_of(embedded)
    stage = stage_of(
        DEV,
        {"model": "embedded", "cache": "memory://"},
        gateway={"cache_memory_entries": CACHE_ENTRIES},
        replicas=(1, 2),
    )
    seconds = 60 * MINUTES
    streams = (
        Stream("single", 0.6 * RATE, seconds),
        Stream("ten", 0.25 * RATE, seconds, texts=10),
        Stream("long", 0.05 * RATE, seconds, long=True),
        Stream("hurried", 0.05 * RATE, seconds, texts=4, deadline_ms=100),
        Stream("leaving", 0.05 * RATE, seconds, texts=4, leave_s=0.01),
    )
    samples: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    counted: dict[str, list[tuple[float, float]]] = {GATEWAY: [], CLASSIFIER: []}
    with Traffic(stage.url, known, *streams) as traffic:
        begun = told = time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            processes = stage.processes()
            processes.pop(traffic.pid, None)
            _sample(samples, processes, now)
            _count_tasks(counted, stage, now)
            if time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                say(f"  {now / 60:3.0f} min  {_sizes(samples)}")
            time.sleep(SAMPLE_S)
    idle = seconds_until(lambda: waiting(stage) == 0, METRICS_S)
    done = Verdict(
        "no text is on its way and no request waits at the end",
        f"after {idle:.0f} s" if idle is not None else f"{waiting(stage):g} left",
        idle is not None,
    )
    warm = WARM_UP_SHARE * seconds
    grown = [
        verdict
        for (name, _), seen in sorted(samples.items())
        for verdict in _verdicts(name, [each for each in seen if each.time > warm])
    ]
    flat = [
        _tasks_stay(name, [count for at, count in seen if at > warm])
        for name, seen in counted.items()
    ]
    return [row(f"{MINUTES:g} minutes of mixed load", traffic.records, *grown, *flat, done)]


def _sample(
    samples: dict[tuple[str, int], list[Sample]], processes: dict[int, ProcessUsage], now: float
) -> None:
    rest = Sample(now, 0, 0, 0)
    for pid, (role, rss, _, fds, threads) in processes.items():
        if role != OTHER:
            samples[role, pid].append(Sample(now, rss, fds, threads))
        else:
            rest = Sample(now, rest.rss + rss, rest.fds + fds, rest.threads + threads)
    samples[REST, 0].append(rest)


def _count_tasks(
    counted: dict[str, list[tuple[float, float]]], stage: RayService, now: float
) -> None:
    for name, seen in counted.items():
        with suppress(httpx.HTTPError):
            seen.append((now, tasks(stage, deployment=name)))


def _sizes(samples: dict[tuple[str, int], list[Sample]]) -> str:
    return ", ".join(
        f"{name} {seen[-1].rss / MIB:.0f} MiB"
        for (name, _), seen in sorted(samples.items())
        if seen
    )


def _verdicts(name: str, samples: list[Sample]) -> list[Verdict]:
    if len(samples) < 3:
        return [Verdict(f"{name} lives to the end", "it does not", False)]
    times = [sample.time for sample in samples]
    slope = HOUR_S * float(np.polyfit(times, [sample.rss / MIB for sample in samples], 1)[0])
    first, last = samples[0], samples[-1]
    half = len(samples) // 2
    fds = [
        float(np.median([each.fds for each in part])) for part in (samples[:half], samples[half:])
    ]
    return [
        Verdict(
            f"{name}: memory grows by at most {MAX_MIB_PER_HOUR:g} MiB an hour",
            f"{slope:+.1f} MiB/h, from {first.rss / MIB:.0f} to {last.rss / MIB:.0f} MiB",
            slope <= MAX_MIB_PER_HOUR,
        ),
        Verdict(
            f"{name}: file descriptors and threads stay",
            f"{fds[0]:.0f} to {fds[1]:.0f} descriptors, {first.threads} to {last.threads} threads",
            fds[1] - fds[0] <= MAX_FDS and last.threads - first.threads <= MAX_FDS,
        ),
    ]


def _tasks_stay(name: str, counts: list[float]) -> Verdict:
    """Judge the tasks of a deployment's event loops, which follow the load but do not grow."""
    claim = f"{name}: tasks of the event loops stay"
    if len(counts) < 3:
        return Verdict(claim, "they were not counted", False)
    half = len(counts) // 2
    first, last = float(np.median(counts[:half])), float(np.median(counts[half:]))
    return Verdict(claim, f"{first:.0f} to {last:.0f}", first > 0 and last - first <= MAX_TASKS)
