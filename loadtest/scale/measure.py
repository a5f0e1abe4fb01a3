"""Loads a service with a fixed number of replicas, or one whose policy follows the load."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import psutil

from loadtest.answers import Margins
from loadtest.generator import Record, Stream
from loadtest.processes import Sampler, usage
from loadtest.ray_service import CLASSIFIER, GATEWAY, Bounds, RayService
from loadtest.scale.simulated import DEADLINE_S, traffic
from loadtest.traffic import Counts, counts, percentile_s
from serve_app.console import say

# The first seconds fill the queues, and what is answered last no longer competes.
WARM_UP_S: Final = 4.0
DOWNSCALE_DELAY_S: Final = 20.0
INTERVAL_S: Final = 0.5


class Throughput(NamedTuple):
    """What a number of replicas did under saturating load.

    Attributes:
        replicas: How many classifiers.
        texts: Texts in a request.
        texts_s: Texts answered each second.
        gateway_cpu: CPUs that the gateway used.
        gateway_request_ms: The gateway's CPU time for a request with its texts.
        classifier_cpu: CPUs that one classifier used.
        p50_ms: Median time to an answer.
        p99_ms: Its 99th percentile.
        counts: What became of the requests.
    """

    replicas: int
    texts: int
    texts_s: float
    gateway_cpu: float
    gateway_request_ms: float
    classifier_cpu: float
    p50_ms: float
    p99_ms: float
    counts: Counts


class Moment(NamedTuple):
    """A deployment at one time.

    Attributes:
        time: Seconds since the epoch.
        wanted: Replicas that the policy wants.
        running: Replicas that take work.
        cpu: Share of the machine's CPUs that was busy since the moment before, by whomever.
    """

    time: float
    wanted: int
    running: int
    cpu: float


class Segment(NamedTuple):
    """Some seconds of a run in which the load, in requests each second, is the same."""

    seconds: float
    rate: float


class Run(NamedTuple):
    """What was seen.

    Attributes:
        started: When the first segment began, in seconds since the epoch.
        segments: What was sent.
        moments: The replicas and their queue.
        records: The requests.
    """

    started: float
    segments: list[Segment]
    moments: list[Moment]
    records: list[Record]

    def waiting(self, moments: Sequence[Moment]) -> list[float]:
        """Return how many requests wait for an answer at each of these moments."""
        sent = np.sort([record.sent for record in self.records])
        done = np.sort([record.sent + record.seconds for record in self.records])
        times = [moment.time for moment in moments]
        return list(np.searchsorted(sent, times) - np.searchsorted(done, times).astype(float))

    @property
    def counts(self) -> Counts:
        """What became of the requests."""
        return counts(self.records)

    def answers_ms(self, segment: int) -> dict[str, float]:
        """Return percentiles of the time to the right answer of what was sent in a segment."""
        begin, end = self.begins(segment), self.begins(segment + 1)
        sent = [r for r in self.records if begin <= r.sent < end and r.kind == "right"]
        return {f"p{percent}": round(percentile_s(sent, percent) * 1000) for percent in (50, 99)}

    def begins(self, segment: int) -> float:
        """Return when a segment began, in seconds since the epoch."""
        return self.started + sum(each.seconds for each in self.segments[:segment])

    def during(self, segment: int) -> list[Moment]:
        """Return what was seen during a segment."""
        begin, end = self.begins(segment), self.begins(segment + 1)
        return [moment for moment in self.moments if begin <= moment.time < end]


def saturate(service: RayService, known: Margins, replicas: int, stream: Stream) -> Throughput:
    """Measure so many replicas under saturating load, the closed loop of a stream."""
    service.scale(CLASSIFIER, Bounds(replicas, replicas))
    service.deploy(**{CLASSIFIER: replicas})
    gateways, classifiers = service.pids(GATEWAY), service.pids(CLASSIFIER)
    before = _cpu_seconds(gateways), _cpu_seconds(classifiers)
    started = time.monotonic()
    with traffic(service, known, stream) as load:
        pass
    took, records = time.monotonic() - started, load.records
    gateway = _cpu_seconds(gateways) - before[0]
    first, seconds = min(record.sent for record in records), stream.seconds
    counted = [r for r in records if WARM_UP_S <= r.sent + r.seconds - first <= seconds]
    return Throughput(
        replicas=replicas,
        texts=stream.texts,
        texts_s=len(counted) * stream.texts / (seconds - WARM_UP_S),
        gateway_cpu=gateway / took,
        gateway_request_ms=gateway / len(records) * 1000,
        classifier_cpu=(_cpu_seconds(classifiers) - before[1]) / took / replicas,
        p50_ms=percentile_s(counted, 50) * 1000,
        p99_ms=percentile_s(counted, 99) * 1000,
        counts=counts(records),
    )


def run(
    service: RayService,
    name: str,
    bounds: Bounds,
    segments: list[Segment],
    *,
    known: Margins,
    stream: Stream,
) -> Run:
    """Offer a load in segments while the policy decides within bounds."""
    # What came before the run is no load of it: the policy is to have forgotten it.
    time.sleep(service.deployment(name)["autoscaling_config"]["look_back_period_s"])
    service.scale(name, bounds, downscale_delay_s=DOWNSCALE_DELAY_S)
    service.deploy(**{name: bounds.min})
    say(", then ".join(f"{rate:.1f} requests a second for {s:.0f} s" for s, rate in segments))
    begins = np.cumsum([0.0, *(segment.seconds for segment in segments)])
    streams = [
        stream._replace(name=f"{n}", rate=rate, seconds=seconds, begin_s=float(begins[n]))
        for n, (seconds, rate) in enumerate(segments)
    ]

    def moment() -> Moment:
        fleet = service.fleet(name)
        return Moment(time.time(), fleet.target, len(fleet.running), psutil.cpu_percent() / 100)

    psutil.cpu_percent()
    with Sampler(moment, INTERVAL_S) as sampler:
        begun = time.time()
        with traffic(service, known, *streams) as load:
            pass
    started = min((record.sent for record in load.records), default=begun)
    return Run(started, segments, sampler.samples, load.records)


def patient(stream: Stream) -> Stream:
    """Return a stream whose refused and lost requests are tried again."""
    return stream._replace(patient_s=DEADLINE_S)


def _cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time that replicas have taken so far."""
    return sum(used.cpu_s for used in usage(pids).values())
