"""What is claimed of scaling, and whether a run bears it out."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

from loadtest.generator import BUSY
from loadtest.scale.measure import Moment, Run, Throughput
from loadtest.scale.nodes import NodeLoss
from loadtest.traffic import Counts, counts

MIN_EFFICIENCY: Final = 0.9
EFFICIENT_UP_TO: Final = 16
MAX_OVERSHOOT: Final = 0.25
MAX_LATE_S: Final = 10.0
# An outline has at least one moment in so many seconds.
OUTLINE_S: Final = 5.0


class Verdict(NamedTuple):
    """One claim, what was measured, and whether the claim holds."""

    claim: str
    figure: str
    holds: bool


class Reaction(NamedTuple):
    """How the replicas followed a step up.

    Attributes:
        start_s: Seconds from the wish for as many replicas as needed until so many run.
        late_s: Seconds from the step until what waits last took the running replicas longer than
            the target wait.
        needed: Replicas that the load needs at the target utilization.
        max_wanted: Most replicas wanted.
    """

    start_s: float
    late_s: float
    needed: int
    max_wanted: int

    @property
    def overshoot(self) -> float:
        """By which fraction more were wanted than needed."""
        return self.max_wanted / self.needed - 1


def on_throughput(points: list[Throughput]) -> list[Verdict]:
    """Judge whether replicas do as much together as each alone."""
    one = points[0].texts_s
    return [
        Verdict(
            f"{point.replicas} replicas do at least {MIN_EFFICIENCY:g} of one's work each",
            f"{point.texts_s / point.replicas / one:.2f}",
            point.texts_s / point.replicas >= MIN_EFFICIENCY * one,
        )
        for point in points[1:]
        if point.replicas <= EFFICIENT_UP_TO
    ]


def on_steps(steps: Run, seen: Reaction) -> list[Verdict]:
    """Judge the way up to ten times the load and down again."""
    counted, refused = steps.counts, steps.counts.refused.get(str(BUSY), 0)
    after = counts([record for record in steps.records if record.sent >= steps.begins(2)])
    return [
        Verdict(
            f"the target wait is met {MAX_LATE_S:g} s plus replica start after a tenfold load",
            f"{seen.late_s:.0f} s, of which start {seen.start_s:.0f} s",
            seen.late_s <= seen.start_s + MAX_LATE_S,
        ),
        Verdict(
            f"overshoot is at most {MAX_OVERSHOOT:.0%}",
            f"{seen.overshoot:.0%}: {seen.max_wanted} wanted, {seen.needed} needed",
            seen.overshoot <= MAX_OVERSHOOT,
        ),
        Verdict(
            "replicas go when the load has gone",
            f"{steps.moments[-1].running} run at the end",
            steps.moments[-1].running < seen.needed / 2,
        ),
        Verdict(
            "what is not answered rightly is refused with 429, and nothing is lost",
            f"{counted.sent} sent, {counted.right} answered, {refused} x 429",
            counted.sent == counted.right + refused,
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
        claim, f"{counts.sent} sent, {counts.right} answered", counts.sent == counts.right
    )


def reaction(
    moments: Sequence[Moment],
    waiting: Sequence[float],
    step: float,
    arriving: float,
    rate: float,
    *,
    utilization: float,
    target_wait_s: float,
) -> Reaction:
    """Judge how the replicas followed a step up.

    Args:
        moments: From the step until the load falls again.
        waiting: Tokens that wait for an answer, at each of them.
        step: When the load rose.
        arriving: Tokens that arrive each second since.
        rate: Tokens that one replica does each second.
        utilization: The policy's target.
        target_wait_s: The policy's target.
    """
    needed = ceil(arriving / (rate * utilization))
    asked = next((m for m in moments if m.wanted >= needed), moments[-1])
    served = next((m for m in moments if m.running >= needed), moments[-1])
    late = [
        moment.time
        for moment, tokens in zip(moments, waiting, strict=True)
        if tokens > target_wait_s * rate * max(1, moment.running)
    ]
    return Reaction(
        start_s=served.time - asked.time,
        late_s=max(late, default=step) - step,
        needed=needed,
        max_wanted=max(m.wanted for m in moments),
    )


def turns(moments: Sequence[Moment]) -> int:
    """Count how often the wanted number changed its direction: flapping."""
    changes = [b.wanted - a.wanted for a, b in pairwise(moments) if a.wanted != b.wanted]
    return sum((a > 0) != (b > 0) for a, b in pairwise(changes))


def outline(moments: Sequence[Moment]) -> list[Moment]:
    """Leave out the moments at which the replicas are as at the one kept before."""
    kept = list(moments[:1])
    for moment in moments[1:]:
        last = kept[-1]
        changed = (moment.wanted, moment.running) != (last.wanted, last.running)
        if changed or moment.time >= last.time + OUTLINE_S:
            kept.append(moment)
    return kept
