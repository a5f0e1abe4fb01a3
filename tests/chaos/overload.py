"""More load than there is capacity, of one sort or of several."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtest.answers import long_texts, short_texts, simulated_margins
from loadtest.configs import DEV, PROD
from loadtest.generator import Record, Stream
from loadtest.processes import MIB, usage
from loadtest.ray_service import CLASSIFIER, GATEWAY, RayService
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic, percentile_s, retry_after_s
from tests.chaos.outcome import Row, row
from tests.chaos.stage import stage_of

# Some two hundred texts a second, which leaves the cores to what is tested.
SIMULATED: Final = {
    "model": "embedded",
    "engine": "simulated",
    "cache": "memory://",
    "simulated": {"batch_ms": 45, "token_us": 40},
}
CLASSIFIER_TUNABLES: Final = {"max_batch_tokens": 150}
UNCACHED: Final = {"cache_memory_entries": 1}
# Many in a request, so that the machine's cores are not what the load exceeds.
TEXTS: Final = 64
AFTER_TEXTS: Final = 4
KNOWN: Final = 8000
CALIBRATION_S: Final = 20.0
OVERLOAD_S: Final = 60.0
TIMES: Final = 10
RAMP_S: Final = 10.0
MIN_GOODPUT: Final = 0.9
MAX_REFUSAL_S: Final = 0.1
# What other work on the machine may add.
MAX_NOISE_S: Final = 0.5
MAX_RECOVERY_S: Final = 5.0
PASS_S: Final = 0.055
MAX_GROWTH_MIB: Final = 64.0


def overload() -> list[Row]:
    """Offer ten times the capacity for a minute, and see what comes after it."""
    return _overloaded(DEV, "")


def behind_haproxy() -> list[Row]:
    """Do the same with production's proxy."""
    return _overloaded(PROD, "HAProxy: ")


def _overloaded(config: Path, title: str) -> list[Row]:
    known = simulated_margins(short_texts(KNOWN))
    stage = stage_of(
        config, SIMULATED, gateway=UNCACHED, classifier=CLASSIFIER_TUNABLES, replicas=(1, 1)
    )
    with Traffic(stage.url, known, Stream("saturating", 10, CALIBRATION_S, TEXTS)) as calibration:
        pass
    capacity = _right_per_s(calibration.records, CALIBRATION_S / 2, CALIBRATION_S)
    before = _memory(stage)
    after_s = OVERLOAD_S + MAX_RECOVERY_S
    streams = (
        Stream("overload", TIMES * capacity, OVERLOAD_S, TEXTS),
        Stream("after", 3, 10, AFTER_TEXTS, begin_s=after_s),
    )
    with Traffic(stage.url, known, *streams) as traffic:
        time.sleep(OVERLOAD_S)
        during = _memory(stage)
    offered = traffic.of("overload")
    goodput = _right_per_s(offered, RAMP_S, OVERLOAD_S)
    refused = [record for record in offered if record.kind == "refused"]
    after = traffic.of("after")
    return [
        row(
            f"{title}{TIMES} times the capacity for {OVERLOAD_S:.0f} s",
            offered,
            Verdict(
                f"goodput stays at {MIN_GOODPUT:g} of the capacity",
                f"{goodput / capacity:.2f} of {capacity:.1f} requests/s",
                goodput >= MIN_GOODPUT * capacity,
            ),
            Verdict(
                f"99 of 100 refusals come within {MAX_REFUSAL_S * 1000:.0f} ms",
                f"p50 {percentile_s(refused, 50) * 1000:.0f} ms, "
                f"p99 {percentile_s(refused, 99) * 1000:.0f} ms",
                percentile_s(refused, 99) <= MAX_REFUSAL_S,
            ),
            _honest(refused, offered),
            Verdict(
                f"memory grows by less than {MAX_GROWTH_MIB:.0f} MiB a process",
                ", ".join(f"{name} {during[name] - before[name]:+.0f} MiB" for name in before),
                all(during[name] - before[name] < MAX_GROWTH_MIB for name in before),
            ),
        ),
        row(
            f"{title}{MAX_RECOVERY_S:.0f} s after it",
            after,
            Verdict(
                "answers take what they take without load, give or take a shared machine",
                f"slowest {percentile_s(after, 100):.2f} s",
                percentile_s(after, 100) <= 4 * PASS_S + MAX_NOISE_S,
            ),
            lossless=True,
        ),
    ]


def long_work() -> list[Row]:
    """Offer so many long texts that a limit by their number would let them wait for minutes."""
    known = simulated_margins([*short_texts(500), *long_texts(300)])
    stage = stage_of(
        DEV, SIMULATED, gateway=UNCACHED, classifier=CLASSIFIER_TUNABLES, replicas=(1, 1)
    )
    with Traffic(stage.url, known, Stream("long", 40, 30, 4, long=True)) as traffic:
        pass
    late = sum(record.status == 504 for record in traffic.records)
    return [
        row(
            "ten times the capacity in long texts",
            traffic.records,
            Verdict("what is admitted is answered before its deadline", f"{late} late", late == 0),
        )
    ]


def fairness() -> list[Row]:
    """Let one client send bulk without end beside others with a text each."""
    known = simulated_margins(short_texts(3000))
    stage = stage_of(
        DEV, SIMULATED, gateway=UNCACHED, classifier=CLASSIFIER_TUNABLES, replicas=(1, 1)
    )
    streams = (
        Stream("bulk", 17, 45, 64),
        Stream("single", 3, 40, begin_s=5),
    )
    with Traffic(stage.url, known, *streams) as traffic:
        pass
    single, bulk = traffic.of("single"), traffic.of("bulk")
    served = [record for record in bulk if record.kind == "right"]
    answered = sum(record.kind == "right" for record in single) / len(single)
    most_s = 10 * PASS_S + MAX_NOISE_S
    return [
        row(
            "single texts beside five times the capacity in requests of 64",
            single,
            Verdict("all but one of ten are answered", f"{answered:.0%}", answered >= 0.9),
            Verdict(
                f"95 of 100 wait {most_s:.1f} s at most",
                f"p50 {percentile_s(single, 50):.2f} s, p95 {percentile_s(single, 95):.2f} s",
                percentile_s(single, 95) <= most_s,
            ),
        ),
        row(
            "that bulk",
            bulk,
            Verdict(
                "bulk has what is left",
                f"{64 * len(served) / 45:.0f} texts/s",
                len(served) > len(bulk) / 10,
            ),
        ),
    ]


def _right_per_s(records: Sequence[Record], begin_s: float, end_s: float) -> float:
    """Return right answers a second between two times after the first request."""
    first = min(record.sent for record in records)
    done = [record.sent + record.seconds - first for record in records if record.kind == "right"]
    return sum(begin_s <= moment < end_s for moment in done) / (end_s - begin_s)


def _honest(refused: Sequence[Record], offered: Sequence[Record]) -> Verdict:
    """Judge whether what waited at a refusal had been answered when its Retry-After was over."""
    ends = sorted(
        (record.sent, record.sent + record.seconds) for record in offered if record.kind == "right"
    )
    late = []
    for record in refused:
        waited = [end for sent, end in ends if sent <= record.sent < end]
        late.append(max(waited, default=record.sent) - record.sent - retry_after_s(record))
    told = sorted(map(retry_after_s, refused)) or [0]
    most = max(late, default=math.nan)
    return Verdict(
        "what waits at a refusal is answered when its Retry-After is over, at most 2 s later",
        f"told {told[0]} to {told[-1]} s, at most {most:+.1f} s later",
        most <= 2.0,
    )


def _memory(stage: RayService) -> dict[str, float]:
    """Return resident memory in MiB by role."""
    found = {"proxy": stage.of_role("proxy")}
    found |= {"gateway": stage.pids(GATEWAY), "classifier": stage.pids(CLASSIFIER)}
    return {
        name: sum(used.rss_bytes for used in usage(pids).values()) / MIB
        for name, pids in found.items()
    }
