"""Two revisions of one model, and what each of them answers."""

import math
import random
import shutil
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from serve_app.engine.engine import batched_logits, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.export.prepare import resolve_engine
from serve_app.model.store import EMBEDDED, resolve

# Answers differ from the reference by rounding alone, and between revisions by twice SHIFT.
TOLERANCE: Final = 0.02
_SHIFT: Final = 0.5
_BATCH: Final = 16
_SUBJECTS: Final = ("film", "meal", "book", "room", "song", "phone", "trip", "team")
_VERDICTS: Final = ("a delight", "a waste of time", "fine", "not what we hoped for", "superb")


class Revision(NamedTuple):
    """A model and the answers to expect from it.

    Attributes:
        source: What `SENTIMENT_MODEL` and `args.model` name it by.
        name: What `X-Model-Revision` names it by.
        margins: By text: log odds of the second label against the first.
    """

    source: str
    name: str
    margins: dict[str, float]


def texts(count: int) -> list[str]:
    """Return different texts, the same ones in every run."""
    chosen = random.Random(0)
    return [
        f"The {chosen.choice(_SUBJECTS)} was {chosen.choice(_VERDICTS)}, number {number}."
        for number in range(count)
    ]


def revisions(directory: Path, ask: list[str]) -> tuple[Revision, Revision]:
    """Return the embedded model and one whose classifier is biased against POSITIVE.

    Args:
        directory: Where to write the second one.
        ask: The texts whose answers are to be known.
    """
    second = directory / "second"
    shutil.copytree(EMBEDDED, second, ignore=shutil.ignore_patterns("*.safetensors", "*.png"))
    weights = load_file(EMBEDDED / "model.safetensors")
    bias = weights["classifier.bias"]
    weights["classifier.bias"] = bias + np.array([_SHIFT, -_SHIFT], dtype=bias.dtype)
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    return (
        revision_of("embedded", ask),
        revision_of(str(second), ask),
    )


def margin(scores: list[dict[str, float | str]]) -> float:
    """Return the log odds that an answer's scores of one text stand for."""
    by_label = {str(score["label"]): float(score["score"]) for score in scores}
    return math.log(by_label["POSITIVE"] / by_label["NEGATIVE"])


def revision_of(source: str, ask: list[str]) -> Revision:
    """Return a model with its answers to these texts.

    Args:
        source: What `args.model` names it by.
        ask: The texts.
    """
    model = resolve(source)
    engine = load_engine(model, resolve_engine(model, "onnx-int8", print), threads=1)
    tokens = [text.ids for text in Tokenizer(model).encode(ask)]
    logits = batched_logits(engine, tokens, _BATCH)
    return Revision(
        source,
        model.revision,
        {text: float(row[1] - row[0]) for text, row in zip(ask, logits, strict=True)},
    )
