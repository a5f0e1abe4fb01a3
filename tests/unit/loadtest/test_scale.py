from pathlib import Path

import pytest

from loadtest.scale import verdicts
from loadtest.scale.analysis import Reaction, outline
from loadtest.scale.generator import OK, WORDS, Record
from loadtest.scale.known import Known
from loadtest.scale.observer import Moment
from loadtest.scale.picture import Caption, draw
from loadtest.scale.schedule import Run, Segment
from loadtest.scale.traffic import counts
from serve_app.engine.engine import SimulatedEngine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.parity import probabilities
from serve_app.model.store import resolve
from serve_app.settings import SimulatedCost

START = 1e9


def moments(*seen: tuple[float, int, int]) -> list[Moment]:
    """Return moments of seconds, replicas wanted and replicas running."""
    return [Moment(START + seconds, wanted, running, 0.5) for seconds, wanted, running in seen]


def record(sent: float = 0.0, status: int = OK, *, correct: bool = True) -> Record:
    return Record(START + sent, 0.5, status, 1, correct)


def test_an_outline_has_every_change_and_a_moment_now_and_then() -> None:
    seen = moments((0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (8, 2, 2), (9, 2, 2))
    assert [moment.time - START for moment in outline(seen)] == [0, 2, 3, 8]


@pytest.mark.parametrize(
    "lost", [record(status=504), record(status=0), record(correct=False)], ids=str
)
def test_a_request_that_is_not_answered_as_asked_is_lost(lost: Record) -> None:
    seen = counts([record(), lost])
    assert (seen.sent, seen.answered) == (2, 1)


def a_run(*, lost: int = 0) -> Run:
    """Return a run of ten times the load, followed as it should be."""
    seen = moments((0, 1, 1), (11, 8, 1), (15, 8, 8), (19, 8, 8), (25, 1, 1))
    records = [record(n / 10) for n in range(300)] + [record(status=504)] * lost
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
    busy, late, lost = record(12, 429), record(25, 429), record(12, 500)
    for others, holds in ([busy], [True, True]), ([late], [True, False]), ([lost], [False, True]):
        judged = verdicts.on_steps(run._replace(records=[*run.records, *others]), met)
        assert [each.holds for each in judged[3:]] == holds


def test_the_generator_knows_a_wrong_answer() -> None:
    known, text = Known(WORDS), "the film was good"
    logits = SimulatedEngine(2, SimulatedCost(batch_ms=0, token_us=0)).logits(
        [each.ids for each in Tokenizer(resolve("embedded")).encode([text])]
    )
    ((negative, positive),) = probabilities(logits).tolist()
    right = [{"label": "POSITIVE", "score": positive}, {"label": "NEGATIVE", "score": negative}]
    wrong = [{"label": "POSITIVE", "score": negative}, {"label": "NEGATIVE", "score": positive}]
    assert known.answered_by([text], [right])
    assert not known.answered_by([text], [wrong])
    assert not known.answered_by([text], [])


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
