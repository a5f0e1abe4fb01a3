"""One part of the scale test, in a process that has a Ray to itself; see `__main__`."""

import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any, Final, NamedTuple

import psutil
import ray
from ray import serve

from loadtest.generator import Stream
from loadtest.ray_service import CLASSIFIER, GATEWAY, Bounds, RayService
from loadtest.scale import verdicts
from loadtest.scale.measure import Run, Segment, Throughput, patient, run, saturate
from loadtest.scale.nodes import NodeLoss, lose_a_node
from loadtest.scale.picture import Caption, draw
from loadtest.scale.simulated import (
    BATCH_TEXTS,
    CHUNK_TEXTS,
    TOKENS,
    known_answers,
    simulated_service,
)
from loadtest.scale.verdicts import Verdict, outline, reaction
from loadtest.traffic import Counts
from serve_app.console import say
from serve_app.settings import GatewaySettings, ScalingSettings, SimulatedCost

# One text a request: the more requests there are, the less chance has to say in their number.
TEXTS: Final = 1
BULK_TEXTS: Final = 16
# A full batch takes half a second: 480 tokens a second, and 16 replicas leave room on two cores.
COST: Final = SimulatedCost(batch_ms=380, token_us=500)
RATE: Final = TOKENS * BATCH_TEXTS / 0.5
# Costs next to nothing, so that the gateway is what saturates.
FREE: Final = SimulatedCost(batch_ms=1, token_us=0)
FREE_CLASSIFIERS: Final = 4
# Requests of one call each, enough for every classifier to have full batches waiting, however calls
# are spread.
CONNECTIONS_EACH: Final = 12
CONNECTIONS: Final = 32
# Requests a second that take a little more than half of one classifier's rate.
BASE: Final = 0.55 * RATE / TOKENS / TEXTS
SCALED: Final = Bounds(1, 24)
# Large requests for texts that the gateway remembers take no time of the classifiers, but as much
# of the load generator as of the gateway. So that two cores hold both, a gateway is to be used
# less than in production. Requests come such that it computes for so many seconds each second.
SCALED_GATEWAYS: Final = Bounds(1, 3)
GATEWAY_POLICY: Final = {"target_utilization": 0.3, "release_utilization": 0.25}
LARGE_TEXTS: Final = 256
DISTINCT_TEXTS: Final = 1000
GATEWAY_BUSY: Final = (0.05, 0.4, 0.05)
OPEN: Final = Stream("open", texts=TEXTS, in_turn=True)
POLICY: Final = ScalingSettings()
CLASSIFIERS: Final = Caption("classifiers", TEXTS, TOKENS, POLICY.target_wait_s)
# Ray keeps a process for each logical CPU. On a cluster replicas start on CPUs of their own; here,
# ten at once would take the two cores from those that work: each process is made ready before.
LOGICAL_CPUS: Final = 12

Outcome = tuple[dict[str, Any], list[Verdict]]


class Lengths(NamedTuple):
    """How long each part takes, in seconds.

    Attributes:
        replicas: The numbers of replicas to saturate.
        saturate: For each of them.
        steps: Before, during and after ten times the load.
        gateways: Before, during and after more than one gateway's load.
        constant: The constant load.
        nodes: Under load with a node lost.
    """

    replicas: tuple[int, ...]
    saturate: float
    steps: tuple[float, float, float]
    gateways: tuple[float, float, float]
    constant: float
    nodes: float


FULL: Final = Lengths(
    (1, 2, 4, 8, 16, 32), 18.0, (30.0, 90.0, 60.0), (60.0, 45.0, 75.0), 600.0, 90.0
)
QUICK: Final = Lengths((1, 2, 4), 14.0, (20.0, 60.0, 60.0), (60.0, 40.0, 60.0), 60.0, 60.0)


def throughput(lengths: Lengths, out: Path) -> Outcome:
    """Saturate growing numbers of replicas."""
    service, known, points = _service(COST), known_answers(), []
    for count in lengths.replicas:
        stream = _closed(lengths, CONNECTIONS_EACH * count, CHUNK_TEXTS)
        point = saturate(service, known, count, stream)
        say(f"{count} classifiers: {point.texts_s / count:.1f} texts/s each")
        points.append(point)
    return {"throughput": [_plain(point) for point in points]}, verdicts.on_throughput(points)


def gateway(lengths: Lengths, out: Path) -> Outcome:
    """Saturate one gateway, with requests of one text and of many."""
    service, known, points = _service(FREE), known_answers(), []
    for texts in (1, BULK_TEXTS):
        stream = _closed(lengths, CONNECTIONS, texts)
        point = saturate(service, known, FREE_CLASSIFIERS, stream)
        say(
            f"{point.texts_s / point.texts:.0f} requests/s of {point.texts} texts, "
            f"{point.gateway_request_ms:.2f} ms of the gateway's CPU each"
        )
        points.append(point)
    return {"gateway": [_plain(point) for point in points]}, []


def steps(lengths: Lengths, out: Path) -> Outcome:
    """Offer a load, ten times as much, and the first again, at production's admission."""
    service = _service(COST)
    service.deployment(GATEWAY)["user_config"]["max_wait_s"] = GatewaySettings().max_wait_s
    rates = zip(lengths.steps, (BASE, 10 * BASE, BASE), strict=True)
    segments = [Segment(*each) for each in rates]
    seen = run(service, CLASSIFIER, SCALED, segments, known=known_answers(), stream=OPEN)
    draw(seen, CLASSIFIERS, out / "steps.png")
    moments = seen.during(1)
    judged = reaction(
        moments,
        [requests * TEXTS * TOKENS for requests in seen.waiting(moments)],
        seen.begins(1),
        10 * BASE * TEXTS * TOKENS,
        RATE,
        utilization=POLICY.target_utilization,
        target_wait_s=POLICY.target_wait_s,
    )
    return {"reaction": judged._asdict(), **_seen(seen)}, verdicts.on_steps(seen, judged)


def constant(lengths: Lengths, out: Path) -> Outcome:
    """Offer the same load for long."""
    segments = [Segment(60.0, 5 * BASE), Segment(lengths.constant, 5 * BASE)]
    stream = patient(OPEN)
    seen = run(_service(COST), CLASSIFIER, SCALED, segments, known=known_answers(), stream=stream)
    draw(seen, CLASSIFIERS, out / "constant.png")
    return _seen(seen), verdicts.on_constant(seen)


def gateways(lengths: Lengths, out: Path) -> Outcome:
    """Offer one gateway little, more than it is to take, and little again, of known texts."""
    service, known = _service(FREE), known_answers(DISTINCT_TEXTS)
    service.deployment(GATEWAY)["user_config"]["cache_memory_entries"] = 2 * DISTINCT_TEXTS
    policy = service.application["autoscaling_policy"]
    policy["policy_kwargs"] = {"gateway": GATEWAY_POLICY}
    closed = _closed(lengths, CONNECTIONS, LARGE_TEXTS)._replace(in_turn=False)
    alone = saturate(service, known, 1, closed)
    rates = [busy / alone.gateway_request_ms * 1000 for busy in GATEWAY_BUSY]
    say(f"{alone.gateway_request_ms:.2f} ms of the gateway's CPU for a request")
    segments = [Segment(*each) for each in zip(lengths.gateways, rates, strict=True)]
    stream = closed._replace(connections=0)
    seen = run(service, GATEWAY, SCALED_GATEWAYS, segments, known=known, stream=stream)
    draw(seen, Caption("gateways", LARGE_TEXTS, TOKENS, None), out / "gateways.png")
    return {"alone": _plain(alone), **_seen(seen)}, verdicts.on_gateways(seen)


def nodes(lengths: Lengths, out: Path) -> Outcome:
    """Lose one of three worker nodes under load."""
    stream = patient(OPEN)._replace(rate=4 * BASE, seconds=lengths.nodes)
    loss = lose_a_node(COST, stream, lengths.nodes / 3)
    return _plain(loss), verdicts.on_nodes(loss)


PARTS: Final[dict[str, Callable[[Lengths, Path], Outcome]]] = {
    "throughput": throughput,
    "gateway": gateway,
    "steps": steps,
    "constant": constant,
    "gateways": gateways,
    "nodes": nodes,
}


def main() -> None:
    """Run what the arguments name: a part, `full` or `quick`, and a folder."""
    part, extent, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    say(f"{part}: {PARTS[part].__doc__}")
    before = os.getloadavg()[0]
    figures, judged = PARTS[part](QUICK if extent == "quick" else FULL, out)
    serve.shutdown()
    ray.shutdown()
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{psutil.cpu_count()} CPUs, {platform.machine()}",
        "load_average_before": before,
        "engine": COST.model_dump() | {"tokens": TOKENS, "batch_texts": BATCH_TEXTS},
        "verdicts": [verdict._asdict() for verdict in judged],
        **figures,
    }
    (out / f"{part}.json").write_text(json.dumps(report, indent=1) + "\n")
    for verdict in judged:
        print(f"{'holds' if verdict.holds else 'FAILS'}  {verdict.claim}: {verdict.figure}")
    sys.exit(not all(verdict.holds for verdict in judged))


def _service(cost: SimulatedCost) -> RayService:
    service = simulated_service(cost, gateways=1, cpus=LOGICAL_CPUS)
    ray.get([_load.remote() for _ in range(LOGICAL_CPUS)])
    return service


@ray.remote(num_cpus=1)
def _load() -> None:
    """Import in a process of Ray's what a classifier needs."""
    importlib.import_module("serve_app.ray_serve.classifier")


def _closed(lengths: Lengths, connections: int, texts: int) -> Stream:
    stream = Stream("closed", seconds=lengths.saturate, connections=connections, texts=texts)
    return patient(stream._replace(in_turn=True))


def _seen(seen: Run) -> dict[str, Any]:
    kept = outline(seen.moments)
    return {
        "counts": _counts(seen.counts),
        "segments": [segment._asdict() for segment in seen.segments],
        "answers_ms": [seen.answers_ms(index) for index in range(len(seen.segments))],
        "cpu": [round(mean(m.cpu for m in seen.during(n)), 2) for n in range(len(seen.segments))],
        "moments": ["seconds", "wanted", "running", "requests that wait"],
        "seen": [
            [round(moment.time - seen.started, 1), moment.wanted, moment.running, waiting]
            for moment, waiting in zip(kept, seen.waiting(kept), strict=True)
        ],
    }


def _plain(figures: Throughput | NodeLoss) -> dict[str, Any]:
    return figures._asdict() | {"counts": _counts(figures.counts)}


def _counts(counts: Counts) -> dict[str, Any]:
    lost = {"0": counts.broken} if counts.broken else {}
    failed = counts.refused | lost | counts.wrong
    return {
        "sent": counts.sent,
        "answered": counts.right,
        "retried": counts.retried,
        "failed": failed,
    }


if __name__ == "__main__":
    main()
