import time

import numpy as np
import pytest

from serve_app.engine.engine import SimulatedEngine, load_engine
from serve_app.errors import ModelUnusable
from serve_app.model.store import ModelIdentity
from serve_app.settings import AppArgs, SimulatedCost

FREE = SimulatedCost(batch_ms=0, token_us=0)
TEXTS = ([1, 2, 3], [4, 5], [1, 2, 3, 4])


def test_simulated_scores_depend_on_the_tokens_alone() -> None:
    together = SimulatedEngine(2, FREE).logits(TEXTS)
    alone = [SimulatedEngine(2, FREE).logits([text])[0] for text in TEXTS]
    assert together.shape == (3, 2)
    assert np.array_equal(together, alone)
    assert len({tuple(row) for row in together.tolist()}) == 3


def test_a_simulated_batch_takes_what_the_cost_model_says() -> None:
    engine = SimulatedEngine(2, SimulatedCost(batch_ms=20, token_us=1000))
    started = time.monotonic()
    engine.logits(TEXTS)
    # Nine tokens in three texts; sleeping never takes less.
    assert time.monotonic() - started >= 0.020 + 9 * 0.001


def test_padding_costs_the_simulated_engine_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    SimulatedEngine(2, SimulatedCost(batch_ms=20, token_us=1000)).logits(TEXTS)
    assert slept == [pytest.approx(0.020 + 9 * 0.001)]


def test_production_refuses_the_simulated_engine() -> None:
    with pytest.raises(ValueError, match="production needs an engine that computes"):
        AppArgs(engine="simulated", production=True)


def test_torch_scores_do_not_depend_on_padding(model: ModelIdentity) -> None:
    pytest.importorskip("torch")
    engine = load_engine(model, "torch", threads=1)
    alone = engine.logits([[2, 5, 3]])
    assert engine.logits([[2, 5, 3], [2, *[6] * 40, 3]])[:1] == pytest.approx(alone, abs=1e-5)


def test_a_model_that_was_not_prepared_says_how_to_prepare_it(
    model: ModelIdentity, cache_dir: object
) -> None:
    with pytest.raises(ModelUnusable, match="sentiment model prepare"):
        load_engine(model, "onnx-int8", threads=1)


def test_a_batch_in_parts_has_the_logits_of_each_text(
    model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    engine = load_engine(model, "torch", threads=1)
    texts = [[2, word, 3] for word in range(5, 12)]
    together = engine.logits(texts)
    monkeypatch.setattr("serve_app.engine.tokenizer.MAX_PAIRS", 20)
    assert engine.logits(texts) == pytest.approx(together, abs=1e-6)
