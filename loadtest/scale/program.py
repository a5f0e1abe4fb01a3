"""The scale test itself, in a process that has a Ray to itself; see `__main__`."""

import json
import logging
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import ray
from ray import serve

from loadtest.scale import analysis, verdicts
from loadtest.scale.generator import Plan
from loadtest.scale.lab import CLASSIFIER, Bounds, Lab
from loadtest.scale.nodes import NodeLoss, lose_a_node
from loadtest.scale.picture import draw
from loadtest.scale.schedule import Run, Segment, run
from loadtest.scale.throughput import Throughput, saturate
from serve_app.console import say
from serve_app.settings import ScalingSettings, SimulatedCost

TOKENS: Final = 24
BATCH_TEXTS: Final = 10
# A full batch of ten texts takes half a second, so that a replica does 480 tokens a second, and 32
# of them leave the two cores of a laptop to the gateway and the load generator.
COST: Final = SimulatedCost(batch_ms=380, token_us=500)
RATE: Final = TOKENS * BATCH_TEXTS / 0.5
# Costs next to nothing, so that the gateway is what saturates.
FREE: Final = SimulatedCost(batch_ms=1, token_us=0)
FREE_CLASSIFIERS: Final = 4
BULK_TEXTS: Final = 16
# Texts a second that a single classifier does at six tenths of its rate.
BASE: Final = 0.6 * RATE / TOKENS
STEPS: Final = Bounds(1, 24)
POLICY: Final = ScalingSettings()


class Lengths(NamedTuple):
    """How long each part takes, in seconds.

    Attributes:
        replicas: The numbers of replicas to saturate.
        saturate_s: For each of them.
        steps: Before, during and after ten times the load.
        constant: The constant load.
        nodes: Under load with a node lost.
    """

    replicas: tuple[int, ...]
    saturate_s: float
    steps: tuple[float, float, float]
    constant: float
    nodes: float


FULL: Final = Lengths((1, 2, 4, 8, 16, 32), 24.0, (40.0, 120.0, 100.0), 600.0, 90.0)
QUICK: Final = Lengths((1, 2, 4), 12.0, (20.0, 60.0, 60.0), 60.0, 60.0)


def scale(lengths: Lengths, out: Path) -> tuple[dict[str, Any], list[verdicts.Verdict]]:
    """Measure throughput, reaction and rest on one Ray; write the picture."""
    ray.init(num_cpus=8, include_dashboard=False, namespace="serve", logging_level=logging.WARNING)
    lab = Lab(COST, gateways=1)
    lab.deployment(CLASSIFIER)["user_config"] = {"max_batch_tokens": TOKENS * BATCH_TEXTS}
    bulk = Plan(lab.url, [], 0.0, 0, BULK_TEXTS, TOKENS)
    single = bulk._replace(texts=1)
    points = []
    for count in lengths.replicas:
        plan = bulk._replace(connections=6 * count)
        points.append(saturate(lab, count, lengths.saturate_s, plan))
        say(f"{count} classifiers: {points[-1].texts_s / count:.1f} texts/s each")
    say("1x, 10x, 1x the load")
    segments = zip(lengths.steps, (BASE, 10 * BASE, BASE), strict=True)
    steps = run(lab, STEPS, [Segment(*each) for each in segments], single)
    draw(steps, 1, POLICY.target_wait_s, out / "steps.png")
    say(f"constant load for {lengths.constant:.0f} s")
    constant = run(
        lab, STEPS, [Segment(60.0, 5 * BASE), Segment(lengths.constant, 5 * BASE)], single
    )
    draw(constant, 1, POLICY.target_wait_s, out / "constant.png")
    say("a gateway to its limit")
    lab.simulate(FREE)
    limits = [
        saturate(lab, FREE_CLASSIFIERS, lengths.saturate_s, plan)
        for plan in (single._replace(connections=32), bulk._replace(connections=32))
    ]
    serve.shutdown()
    ray.shutdown()
    seen = _reaction(steps)
    figures = {
        "throughput": [_plain(point) for point in points],
        "gateway": [_plain(point) for point in limits],
        "steps": {"reaction": seen._asdict(), **_seen(steps)},
        "constant": {"turns": analysis.turns(constant.during(1)), **_seen(constant)},
    }
    return figures, [
        *verdicts.on_throughput(points),
        *verdicts.on_steps(steps, seen),
        *verdicts.on_constant(constant),
    ]


def nodes(lengths: Lengths) -> tuple[dict[str, Any], list[verdicts.Verdict]]:
    """Lose one of three worker nodes under load."""
    plan = Plan("", [(lengths.nodes, 2 * BASE)], 0.0, 0, 1, TOKENS)
    loss = lose_a_node(COST, plan, lengths.nodes / 3)
    serve.shutdown()
    ray.shutdown()
    return {"nodes": _plain(loss)}, verdicts.on_nodes(loss)


def main() -> None:
    """Run what the arguments name: `scale` or `nodes`, `full` or `quick`, and a folder."""
    part, extent, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    lengths = QUICK if extent == "quick" else FULL
    figures, judged = scale(lengths, out) if part == "scale" else nodes(lengths)
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{psutil.cpu_count()} CPUs, {platform.machine()}",
        "load_average": os.getloadavg()[0],
        "engine": COST.model_dump() | {"tokens": TOKENS, "batch_texts": BATCH_TEXTS},
        **figures,
        "verdicts": [verdict._asdict() for verdict in judged],
    }
    (out / f"{part}.json").write_text(json.dumps(report, indent=1) + "\n")
    for verdict in judged:
        print(f"{'holds' if verdict.holds else 'FAILS'}  {verdict.claim}: {verdict.figure}")
    sys.exit(not all(verdict.holds for verdict in judged))


def _reaction(steps: Run) -> analysis.Reaction:
    return analysis.reaction(
        steps.during(1),
        steps.begins(1),
        10 * BASE * TOKENS,
        RATE,
        utilization=POLICY.target_utilization,
        target_wait_s=POLICY.target_wait_s,
    )


def _seen(seen: Run) -> dict[str, Any]:
    return {
        "counts": seen.counts._asdict(),
        "segments": [segment._asdict() for segment in seen.segments],
        "moments": [
            [round(m.time - seen.started, 1), m.wanted, m.running, m.queue_tokens]
            for m in seen.moments
        ],
    }


def _plain(figures: Throughput | NodeLoss) -> dict[str, Any]:
    return figures._asdict() | {"counts": figures.counts._asdict()}


if __name__ == "__main__":
    main()
