from collections.abc import Sequence
from pathlib import Path

import pytest

from serve_app.client import Prediction
from serve_app.engine.torch import TorchEngine
from serve_app.files.local import LocalScorer, batches
from serve_app.files.reader import Failure


def test_a_model_in_this_process_scores_as_the_service_answers(model_directory: Path) -> None:
    scorer = LocalScorer(str(model_directory), "torch", print)
    texts = ["the film was great", "", "awful " * 100, "it is slow", "the film was great"]
    outcomes = scorer.score(texts)
    for text, outcome in zip(texts, outcomes, strict=True):
        assert isinstance(outcome, Prediction)
        [alone] = scorer.score([text])
        assert isinstance(alone, Prediction)
        assert outcome.scores == pytest.approx(alone.scores, abs=1e-6)
        assert list(outcome.scores.values()) == sorted(outcome.scores.values(), reverse=True)
        assert outcome.truncated == (text == texts[2])
    assert outcomes[0] == outcomes[4]


def test_a_text_that_the_engine_fails_on_does_not_fail_the_others(
    model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = LocalScorer(str(model_directory), "torch", print)
    plain = TorchEngine.logits

    def failing(engine: TorchEngine, token_ids: Sequence[Sequence[int]]) -> object:
        if any(len(ids) > 10 for ids in token_ids):
            raise RuntimeError
        return plain(engine, token_ids)

    monkeypatch.setattr(TorchEngine, "logits", failing)
    outcomes = scorer.score(["good " * n for n in (7, 8, 9, 10)])
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, False, True, True]


def test_batches_hold_every_text_once_and_group_similar_lengths() -> None:
    lengths = [500, 3, 40, 490, 4, 100, 512, 3]
    found = list(batches(lengths))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert sorted([lengths[index] for index in found[0]]) == [3, 3, 4]
