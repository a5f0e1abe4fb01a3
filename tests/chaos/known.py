"""Texts whose right answers are known."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serve_app.engine.engine import SimulatedEngine, batched_logits
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.store import resolve
from serve_app.settings import SimulatedCost
from tests.prod_local.revisions import Revision, texts

LONG: Final = 40
BATCH: Final = 64
# By revision: by text: log odds of the second label against the first.
Margins = Mapping[str, Mapping[str, float]]


def short_texts(count: int) -> list[str]:
    """Return different texts of about ten tokens."""
    return texts(count)


def long_texts(count: int) -> list[str]:
    """Return different texts of about four hundred tokens."""
    return [f"{number}. " + " ".join([text] * LONG) for number, text in enumerate(texts(count))]


def simulated_margins(ask: list[str]) -> Margins:
    """Return what the simulated engine answers for the embedded model's labels."""
    model = resolve("embedded")
    engine = SimulatedEngine(len(model.labels), SimulatedCost(batch_ms=0, token_us=0))
    tokens = [text.ids for text in Tokenizer(model).encode(ask)]
    logits = batched_logits(engine, tokens, BATCH)
    answers = {text: float(row[1] - row[0]) for text, row in zip(ask, logits, strict=True)}
    return {model.revision: answers}


def margins_of(revisions: list[Revision]) -> Margins:
    """Return what several revisions of a model answer."""
    return {revision.name: revision.margins for revision in revisions}


def write(margins: Margins, path: Path) -> None:
    """Write what is known for the load generator."""
    path.write_text(json.dumps(margins))
