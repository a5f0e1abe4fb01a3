"""What a run shows: pure functions of what was observed and what became of the requests."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

from loadtest.scale.observer import Moment

# An outline has at least one moment in so many seconds.
OUTLINE_S: Final = 5.0


class Reaction(NamedTuple):
    """How the replicas followed a step up.

    Attributes:
        start_s: Seconds from the wish for as many replicas as needed until so many run.
        late_s: Seconds from the step until what waits last took the running replicas longer than
            the target wait.
        needed: Replicas that the load needs at the target utilization.
        most: Most replicas wanted.
    """

    start_s: float
    late_s: float
    needed: int
    most: int

    @property
    def overshoot(self) -> float:
        """By which fraction more were wanted than needed."""
        return self.most / self.needed - 1


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
        most=max(m.wanted for m in moments),
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
