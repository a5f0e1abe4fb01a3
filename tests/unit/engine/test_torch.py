"""What a GPU computes, in its number formats, on this CPU."""

import numpy as np
import pytest

from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.parity import probabilities
from serve_app.model.store import resolve

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
engine = pytest.importorskip("serve_app.engine.torch", reason="the extra torch is not installed")

TEXTS = [
    "I love this!",
    "What a waste of two hours.",
    "",
    "It is not bad, but I would not call it good either.",
    "the plot is thin and the cast is wonderful " * 80,
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_short_numbers_move_no_probability_by_more_than_a_fiftieth(
    dtype: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = resolve("embedded")
    tokens = [each.ids for each in Tokenizer(model).encode(TEXTS)]
    exact = engine.TorchEngine(model, threads=1).logits(tokens)
    monkeypatch.setattr(engine, "_dtype", lambda _: dtype)
    short = engine.TorchEngine(model, threads=1).logits(tokens)
    assert short.dtype == np.float32
    moved = np.abs(probabilities(short) - probabilities(exact)).max()
    assert 0 < moved < 1 / 50
