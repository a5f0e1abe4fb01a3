"""The scale test itself, in a process that has a Ray to itself; see `__main__`."""

import json
import logging
import os
import platform
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import ray
from ray import serve

from loadtest.scale import analysis
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
LEAST_EFFICIENCY: Final = 0.9
EFFICIENT_UP_TO: Final = 16
MOST_OVERSHOOT: Final = 0.25
MOST_LATE_S: Final = 10.0


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


class Verdict(NamedTuple):
    """One claim, and whether the run bears it out."""

    claim: str
    figure: str
    holds: bool


def scale(lengths: Lengths, out: Path) -> tuple[dict[str, Any], list[Verdict]]:
    """Measure throughput, reaction and rest on one Ray; write the picture."""
    ray.init(num_cpus=8, include_dashboard=False, namespace="serve", logging_level=logging.WARNING)
    lab = Lab(COST, gateways=1)
    lab.deployment(CLASSIFIER)["user_config"] = {"max_batch_tokens": TOKENS * BATCH_TEXTS}
    bulk = Plan(lab.url, [], 0.0, 0, BULK_TEXTS, TOKENS)
    single = bulk._replace(texts=1)
    points = []
    for count in lengths.replicas:
        plan = bulk._replace(connections=3 * count)
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
    figures = {
        "throughput": [_plain(point) for point in points],
        "gateway": [_plain(point) for point in limits],
        "steps": {"reaction": _reaction(steps)._asdict(), **_seen(steps)},
        "constant": {"turns": analysis.turns(constant.during(1)), **_seen(constant)},
    }
    return figures, [*_throughput(points), *_steps(steps), *_constant(constant)]


def nodes(lengths: Lengths) -> tuple[dict[str, Any], list[Verdict]]:
    """Lose one of three worker nodes under load."""
    plan = Plan("", [(lengths.nodes, 2 * BASE)], 0.0, 0, 1, TOKENS)
    loss = lose_a_node(COST, plan, lengths.nodes / 3)
    serve.shutdown()
    ray.shutdown()
    return {"nodes": _plain(loss)}, _nodes(loss)


def main() -> None:
    """Run what the arguments name: `scale` or `nodes`, `full` or `quick`, and a folder."""
    part, extent, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    lengths = QUICK if extent == "quick" else FULL
    figures, verdicts = scale(lengths, out) if part == "scale" else nodes(lengths)
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{psutil.cpu_count()} CPUs, {platform.machine()}",
        "load_average": os.getloadavg()[0],
        "engine": COST.model_dump() | {"tokens": TOKENS, "batch_texts": BATCH_TEXTS},
        **figures,
        "verdicts": [verdict._asdict() for verdict in verdicts],
    }
    (out / f"{part}.json").write_text(json.dumps(report, indent=1) + "\n")
    for verdict in verdicts:
        print(f"{'holds' if verdict.holds else 'FAILS'}  {verdict.claim}: {verdict.figure}")
    sys.exit(not all(verdict.holds for verdict in verdicts))


def _reaction(steps: Run) -> analysis.Reaction:
    return analysis.reaction(
        steps.during(1),
        steps.begins(1),
        10 * BASE * TOKENS,
        RATE,
        utilization=POLICY.target_utilization,
        target_wait_s=POLICY.target_wait_s,
    )


def _throughput(points: list[Throughput]) -> list[Verdict]:
    one = points[0].texts_s
    return [
        Verdict(
            f"{point.replicas} replicas do at least {LEAST_EFFICIENCY:g} of one's work each",
            f"{point.texts_s / point.replicas / one:.2f}",
            point.texts_s / point.replicas >= LEAST_EFFICIENCY * one,
        )
        for point in points[1:]
        if point.replicas <= EFFICIENT_UP_TO
    ]


def _steps(steps: Run) -> list[Verdict]:
    seen, counts = _reaction(steps), steps.counts
    allowed = seen.start_s + MOST_LATE_S
    return [
        Verdict(
            f"target wait is met within {MOST_LATE_S:g} s plus replica start of ten times the load",
            f"{seen.late_s:.0f} s, of which start {seen.start_s:.0f} s",
            seen.late_s <= allowed,
        ),
        Verdict(
            f"overshoot is at most {MOST_OVERSHOOT:.0%}",
            f"{seen.overshoot:.0%}: {seen.most} wanted, {seen.needed} needed",
            seen.overshoot <= MOST_OVERSHOOT,
        ),
        Verdict(
            "replicas go when the load has gone",
            f"{steps.moments[-1].running} run at the end",
            steps.moments[-1].running < seen.needed / 2,
        ),
        _nothing_lost("no request fails on the way up and down", counts.sent, counts.answered),
    ]


def _constant(constant: Run) -> list[Verdict]:
    settled, counts = constant.during(1), constant.counts
    changes = sum(a.wanted != b.wanted for a, b in pairwise(settled))
    turned = analysis.turns(settled)
    return [
        Verdict(
            f"a constant load of {constant.segments[1].seconds:.0f} s does not flap",
            f"{changes} changes, {turned} turns",
            turned == 0,
        ),
        _nothing_lost("no request of it fails", counts.sent, counts.answered),
    ]


def _nodes(loss: NodeLoss) -> list[Verdict]:
    return [
        Verdict("replicas are spread over all nodes", str(loss.before), len(loss.before) > 2),  # noqa: PLR2004
        Verdict(
            "capacity comes back on the nodes that are left",
            f"after {loss.recovery_s:.0f} s: {loss.after}",
            sum(loss.after.values()) == sum(loss.before.values()) and loss.lost not in loss.after,
        ),
        _nothing_lost(
            f"a lost node costs no request ({loss.counts.retried} were tried again)",
            loss.counts.sent,
            loss.counts.answered,
        ),
    ]


def _nothing_lost(claim: str, sent: int, answered: int) -> Verdict:
    return Verdict(claim, f"{sent} sent, {answered} answered", sent == answered)


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
