"""Every system has to give the right answers before it is timed."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtest.bench.measure import WrongAnswer
from loadtest.bench.texts import Texts
from serve_app.engine.engine import batched_logits, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.parity import BOUNDS, probabilities
from serve_app.model.store import resolve
from serve_app.settings import EngineName

# Beside the bound on batches of other neighbours: fp32 in torch's order of summation.
TOLERANCE: Final = {"onnx-int8": BOUNDS["onnx-int8"].variance, "torch": 1e-4}
SAMPLE: Final = 30
SEED: Final = 7


def texts() -> list[str]:
    """Return texts of ordinary length, an empty one, and one of more tokens than are read."""
    source = Texts(SEED)
    return [*islice(source.unique(), SAMPLE), "", " ".join(source.pool * 8)]


def verify(system: str, engine: EngineName, model: Path, predictions: list[Any]) -> None:
    """Compare a system's predictions for `texts()` with those of our engine alone.

    Raises:
        WrongAnswer: They are not the same.
    """
    expected = _expected(engine, model)
    found = [{each["label"]: each["score"] for each in text} for text in predictions]
    if len(found) != len(expected):
        raise WrongAnswer(f"{system} gave {len(found)} predictions for {len(expected)} texts")
    labels = resolve(str(model)).labels
    scores = np.array([[text[label] for label in labels] for text in found])
    worst = float(np.abs(scores - expected).max())
    if not worst <= TOLERANCE[engine]:
        raise WrongAnswer(f"{system}: a probability is off by {worst:.2g}")


@cache
def _expected(engine: EngineName, model: Path) -> Any:
    # In a process of its own, which takes torch with it when it ends.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_probabilities, engine, model).result()


def _probabilities(engine: EngineName, source: Path) -> Any:
    model = resolve(str(source))
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts())]
    return probabilities(batched_logits(load_engine(model, engine, threads=1), token_ids, 1))
