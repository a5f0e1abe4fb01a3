"""Runs a load that changes in steps against the policy, and watches."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from loadtest.scale.generator import Plan, Record
from loadtest.scale.lab import Bounds, Lab
from loadtest.scale.observer import Moment, Observer
from loadtest.scale.traffic import Counts, Traffic, answered, counts, percentile_ms
from serve_app.console import say

DOWNSCALE_DELAY_S = 20.0


class Segment(NamedTuple):
    """A part of a run in which the load is the same.

    Attributes:
        seconds: How long.
        rate: Requests each second.
    """

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
        """Return percentiles of the time to the answer of what was sent in a segment.

        Requests that were not answered, refused ones too, count for nothing.
        """
        begin, end = self.begins(segment), self.begins(segment + 1)
        sent = [each for each in self.records if begin <= each.sent < end and answered(each)]
        return {f"p{percent}": round(percentile_ms(sent, percent)) for percent in (50, 99)}

    def begins(self, segment: int) -> float:
        """Return when a segment began, in seconds since the epoch."""
        return self.started + sum(each.seconds for each in self.segments[:segment])

    def during(self, segment: int) -> list[Moment]:
        """Return what was seen during a segment."""
        begin, end = self.begins(segment), self.begins(segment + 1)
        return [moment for moment in self.moments if begin <= moment.time < end]


def run(lab: Lab, name: str, bounds: Bounds, segments: list[Segment], plan: Plan) -> Run:
    """Offer a load in segments while the policy decides within bounds.

    Args:
        lab: The service.
        name: The deployment that is watched.
        bounds: Fewest and most replicas of it.
        segments: What to send.
        plan: How to send it; its segments are set here.
    """
    # What came before the run is no part of its load: the policy is to have forgotten it.
    time.sleep(lab.deployment(name)["autoscaling_config"]["look_back_period_s"])
    lab.scale(name, bounds, downscale_delay_s=DOWNSCALE_DELAY_S)
    lab.until_running(name, bounds.least)
    sent = [(each.seconds, each.rate) for each in segments]
    said = (f"{rate:.1f} requests a second for {seconds:.0f} s" for seconds, rate in sent)
    say(", then ".join(said))
    with Observer(lab, name) as observer:
        begun = time.time()
        with Traffic(plan._replace(segments=sent, seconds=0.0)) as traffic:
            pass
    started = min((record.sent for record in traffic.records), default=begun)
    return Run(started, segments, observer.moments, traffic.records)
