"""Texts whose right answers are known, and what is wrong with an answer to them."""

import json
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from loadtest.connections import Answer
from serve_app.engine.engine import Engine, SimulatedEngine, batched_logits, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import PROBLEM_JSON
from serve_app.export.prepare import resolve_engine
from serve_app.model.store import EMBEDDED, resolve
from serve_app.settings import SimulatedCost

# Answers differ from the reference by rounding alone, and between revisions by twice SHIFT.
TOLERANCE: Final = 0.02
SHIFT: Final = 0.5
MIXED_UP: Final = "a score of another text, or of another revision than the answer names"
# Statuses that refuse, and whether they say when to come again.
REFUSALS: Final = {429: True, 503: True, 504: False}
OK: Final = 200
LONG: Final = 40
BATCH: Final = 16

_SUBJECTS: Final = ("film", "meal", "book", "room", "song", "phone", "trip", "team")
_VERDICTS: Final = ("a delight", "a waste of time", "fine", "not what we hoped for", "superb")
# Each is one token of the model, so that a text has as many tokens as words, and two more.
_WORDS: Final = (
    "the", "film", "was", "good", "bad", "and", "but", "not", "very", "slow", "fast", "great",
    "story", "music", "end", "start", "love", "hate", "it", "we", "they", "saw", "time", "day",
)  # fmt: skip

# By revision: by text: log odds of the second label against the first.
Margins = Mapping[str, Mapping[str, float]]


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


def short_texts(count: int) -> list[str]:
    """Return different texts of about ten tokens, the same ones in every run."""
    chosen = random.Random(0)
    return [
        f"The {chosen.choice(_SUBJECTS)} was {chosen.choice(_VERDICTS)}, number {number}."
        for number in range(count)
    ]


def long_texts(count: int) -> list[str]:
    """Return different texts of about four hundred tokens."""
    return [f"{n}. " + " ".join([text] * LONG) for n, text in enumerate(short_texts(count))]


def texts_of_tokens(count: int, tokens: int) -> list[str]:
    """Return texts of so many tokens each."""
    chosen = random.Random(0)
    return [" ".join(chosen.choices(_WORDS, k=tokens - 2)) for _ in range(count)]


def revision_of(source: str, texts: Sequence[str]) -> Revision:
    """Return a model with its answers to texts."""
    model = resolve(source)
    engine = load_engine(model, resolve_engine(model, "onnx-int8", print), threads=1)
    return Revision(source, model.revision, _margins(engine, source, texts))


def revisions(directory: Path, texts: Sequence[str]) -> tuple[Revision, Revision]:
    """Return the embedded model, and one that is written whose classifier is biased."""
    second = directory / "second"
    shutil.copytree(EMBEDDED, second, ignore=shutil.ignore_patterns("*.safetensors", "*.png"))
    weights = load_file(EMBEDDED / "model.safetensors")
    bias = weights["classifier.bias"]
    weights["classifier.bias"] = bias + np.array([SHIFT, -SHIFT], dtype=bias.dtype)
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    return revision_of("embedded", texts), revision_of(str(second), texts)


def margins_of(*revisions: Revision) -> Margins:
    """Return what several revisions of a model answer."""
    return {revision.name: revision.margins for revision in revisions}


def simulated_margins(texts: Sequence[str]) -> Margins:
    """Return what the simulated engine answers for the embedded model's labels."""
    model = resolve("embedded")
    engine = SimulatedEngine(len(model.labels), SimulatedCost(batch_ms=0, token_us=0))
    return {model.revision: _margins(engine, "embedded", texts)}


def _margins(engine: Engine, source: str, texts: Sequence[str]) -> dict[str, float]:
    tokens = [text.ids for text in Tokenizer(resolve(source)).encode(texts)]
    logits = batched_logits(engine, tokens, BATCH)
    return {text: float(row[1] - row[0]) for text, row in zip(texts, logits, strict=True)}


def problem(
    texts: Sequence[str], answer: Answer, known: Margins, tolerance: float = TOLERANCE
) -> str:
    """Return what is wrong with an answer; nothing where it is right or refuses clearly."""
    if answer.status != OK:
        return _problem_of_refusal(answer)
    margins = known.get(answer.headers.get("x-model-revision", ""))
    if margins is None:
        return "a revision that nobody knows"
    predictions = json.loads(answer.body)["predictions"]
    if len(predictions) != len(texts):
        return "another number of predictions than texts"
    for text, scores in zip(texts, predictions, strict=True):
        by_label = {score["label"]: score["score"] for score in scores}
        margin = math.log(by_label["POSITIVE"] / by_label["NEGATIVE"])
        if abs(margin - margins[text]) > tolerance:
            return MIXED_UP
    return ""


def _problem_of_refusal(answer: Answer) -> str:
    status, headers, body, _ = answer
    kind = headers.get("content-type", "").partition(";")[0]
    if kind != PROBLEM_JSON:
        return f"{status} in {kind}"
    if status not in REFUSALS or json.loads(body)["status"] != status:
        return f"{status}: {body.decode()[:200]}"
    if REFUSALS[status] and "retry-after" not in headers:
        return f"{status} without Retry-After"
    return ""
