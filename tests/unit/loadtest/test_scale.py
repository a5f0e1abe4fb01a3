from pathlib import Path

import pytest

from loadtest.answers import TOLERANCE as MAX_TOLERANCE
from loadtest.answers import problem
from loadtest.connections import Answer
from loadtest.generator import Kind, Record
from loadtest.scale import verdicts
from loadtest.scale.measure import Moment, Run, Segment
from loadtest.scale.picture import Caption, draw
from loadtest.scale.simulated import TOLERANCE, known_answers
from loadtest.scale.verdicts import Reaction, outline, reaction, turns
from loadtest.traffic import counts
from tests.unit.loadtest.test_generator import prediction

RATE = 100.0
START = 1e9


def moments(*seen: tuple[float, int, int]) -> list[Moment]:
    """Return moments of seconds, replicas wanted and replicas running."""
    return [Moment(START + seconds, wanted, running, 0.5) for seconds, wanted, running in seen]


def record(sent: float = 0.0, kind: Kind = "right", status: int = 200) -> Record:
    return Record("open", "", START + sent, 0.5, kind, status)


def test_an_outline_has_every_change_and_a_moment_now_and_then() -> None:
    seen = moments((0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (8, 2, 2), (9, 2, 2))
    assert [moment.time - START for moment in outline(seen)] == [0, 2, 3, 8]


@pytest.mark.parametrize(
    "lost", [record(kind="refused"), record(kind="broken"), record(kind="wrong")], ids=str
)
def test_a_request_that_is_not_answered_as_asked_is_lost(lost: Record) -> None:
    seen = counts([record(), lost])
    assert (seen.sent, seen.right) == (2, 1)


def a_run(*, lost: int = 0) -> Run:
    """Return a run of ten times the load, followed as it should be."""
    seen = moments((0, 1, 1), (11, 8, 1), (15, 8, 8), (19, 8, 8), (25, 1, 1))
    records = [record(n / 10) for n in range(300)] + [record(0, "refused", 504)] * lost
    return Run(START, [Segment(10, 1), Segment(10, 10), Segment(10, 1)], seen, records)


def test_a_claim_fails_with_what_it_claims() -> None:
    met, missed = Reaction(4, 13.9, 8, 10), Reaction(4, 14.1, 8, 11)
    assert [each.holds for each in verdicts.on_steps(a_run(), met)] == [True] * 5
    assert [each.holds for each in verdicts.on_steps(a_run(lost=1), missed)] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_production_may_refuse_under_the_load_and_not_after_it() -> None:
    run, met = a_run(), Reaction(4, 13.9, 8, 10)
    busy, late, lost = (
        record(12, "refused", 429),
        record(25, "refused", 429),
        record(12, "wrong", 500),
    )
    for others, holds in ([busy], [True, True]), ([late], [True, False]), ([lost], [False, True]):
        judged = verdicts.on_steps(run._replace(records=[*run.records, *others]), met)
        assert [each.holds for each in judged[3:]] == holds


def test_an_answer_to_another_text_is_wrong() -> None:
    known = known_answers(2)
    ((revision, margins),) = known.items()
    first, second = margins
    right, wrong = (
        Answer(200, {"x-model-revision": revision}, prediction(margins[text]))
        for text in (first, second)
    )
    assert TOLERANCE < MAX_TOLERANCE
    assert not problem([first], right, known, TOLERANCE)
    assert problem([first], wrong, known, TOLERANCE)
    assert problem([], right, known, TOLERANCE)


def test_a_gateway_that_comes_and_goes_before_the_load_rises_is_flapping() -> None:
    steady = moments((0, 1, 1), (11, 3, 1), (15, 3, 3), (25, 1, 1))
    turned = moments((0, 1, 1), (4, 2, 1), (8, 1, 1), (11, 3, 1), (15, 3, 3), (25, 1, 1))
    for seen, flaps in ((steady, False), (turned, True)):
        claims = verdicts.on_gateways(a_run()._replace(moments=seen))
        assert [each.holds for each in claims] == [True, not flaps, True]


def test_a_run_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "steps.png"
    draw(a_run(), Caption("classifiers", 1, 24, 2.0), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def moments_of(*rows: tuple[float, int, int]) -> list[Moment]:
    return [Moment(*row, cpu=0.0) for row in rows]


def test_a_reaction_names_the_start_the_delay_and_the_overshoot() -> None:
    seen = moments_of(
        (10, 1, 1), (12, 5, 1), (14, 10, 1), (18, 10, 5), (20, 10, 10), (22, 9, 9)
    )  # fmt: skip
    waiting = [100, 900, 1500, 1200, 1000, 0]
    found = reaction(seen, waiting, 10, arriving=600, rate=RATE, utilization=0.75, target_wait_s=2)
    assert (found.start_s, found.late_s) == (6, 8)
    assert (found.needed, found.max_wanted, found.overshoot) == (8, 10, 0.25)


def test_a_load_that_was_never_late_is_not_late() -> None:
    found = reaction(
        moments_of((10, 1, 1), (20, 1, 1)), [0, 0], 10, 50, RATE, utilization=0.75, target_wait_s=2
    )
    assert (found.late_s, found.max_wanted) == (0, 1)


def test_only_a_change_of_direction_is_flapping() -> None:
    def wanted(*numbers: int) -> list[Moment]:
        return moments_of(*((float(index), number, 1) for index, number in enumerate(numbers)))

    assert turns(wanted(1, 2, 2, 3, 5)) == 0
    assert turns(wanted(5, 4, 4, 5, 4)) == 2
    assert turns([]) == 0
