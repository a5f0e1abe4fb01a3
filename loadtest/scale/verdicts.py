"""What is claimed of scaling, and whether a run bears it out."""

from itertools import pairwise
from typing import Final, NamedTuple

from loadtest.scale.analysis import Reaction, turns
from loadtest.scale.generator import BUSY
from loadtest.scale.nodes import NodeLoss
from loadtest.scale.schedule import Run
from loadtest.scale.throughput import Throughput
from loadtest.scale.traffic import Counts, counts

LEAST_EFFICIENCY: Final = 0.9
EFFICIENT_UP_TO: Final = 16
MOST_OVERSHOOT: Final = 0.25
MOST_LATE_S: Final = 10.0


class Verdict(NamedTuple):
    """One claim, what was measured, and whether the claim holds."""

    claim: str
    figure: str
    holds: bool


def on_throughput(points: list[Throughput]) -> list[Verdict]:
    """Judge whether replicas do as much together as each alone."""
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


def on_steps(steps: Run, seen: Reaction) -> list[Verdict]:
    """Judge the way up to ten times the load and down again."""
    counted, refused = steps.counts, steps.counts.failed.get(str(BUSY), 0)
    after = counts([record for record in steps.records if record.sent >= steps.begins(2)])
    return [
        Verdict(
            f"the target wait is met {MOST_LATE_S:g} s plus replica start after a tenfold load",
            f"{seen.late_s:.0f} s, of which start {seen.start_s:.0f} s",
            seen.late_s <= seen.start_s + MOST_LATE_S,
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
        Verdict(
            "what is not answered rightly is refused with 429, and nothing is lost",
            f"{counted.sent} sent, {counted.answered} answered, {refused} x 429",
            counted.sent == counted.answered + refused,
        ),
        _nothing_lost("nothing is refused or lost on the way down", after),
    ]


def on_gateways(steps: Run) -> list[Verdict]:
    """Judge the gateways on the way up to more than one can do, and down again."""
    before, during, last = steps.moments[0], steps.during(1), steps.moments[-1]
    most = max(moment.running for moment in during)
    turned = [turns(steps.during(segment)) for segment in range(len(steps.segments))]
    return [
        Verdict(
            "gateways follow the time that they compute",
            f"{before.running}, then {most}, and {last.running} at the end",
            most > before.running == last.running,
        ),
        Verdict(
            "no gateway is started and released while the load stays",
            f"{', '.join(map(str, turned))} turns in its segments",
            not any(turned),
        ),
        _nothing_lost("no request fails on the way up and down", steps.counts),
    ]


def on_constant(constant: Run) -> list[Verdict]:
    """Judge a load whose second segment is as its first."""
    settled = constant.during(1)
    changes, turned = sum(a.wanted != b.wanted for a, b in pairwise(settled)), turns(settled)
    return [
        Verdict(
            f"a constant load of {constant.segments[1].seconds:.0f} s does not flap",
            f"{changes} changes, {turned} turns",
            turned == 0,
        ),
        _nothing_lost("no request of it fails", constant.counts),
    ]


def on_nodes(loss: NodeLoss) -> list[Verdict]:
    """Judge the loss of a node."""
    return [
        Verdict("replicas are spread over all nodes", str(loss.before), len(loss.before) > 2),  # noqa: PLR2004
        Verdict(
            "capacity comes back on the nodes that are left",
            f"after {loss.recovery_s:.0f} s: {loss.after}",
            sum(loss.after.values()) == sum(loss.before.values()) and loss.lost not in loss.after,
        ),
        _nothing_lost(
            f"a lost node costs no request ({loss.counts.retried} were tried again)", loss.counts
        ),
    ]


def _nothing_lost(claim: str, counts: Counts) -> Verdict:
    return Verdict(
        claim, f"{counts.sent} sent, {counts.answered} answered", counts.sent == counts.answered
    )
