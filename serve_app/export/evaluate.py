"""Accuracy, fidelity and speed of the engines on labelled texts, side by side."""

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serve_app.engine.engine import Engine, batched_logits, load_engine
from serve_app.engine.onnx import OnnxEngine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable, StartupError
from serve_app.model.onnx_bundle import OnnxBundle, find
from serve_app.model.parity import probabilities
from serve_app.model.store import ModelIdentity
from serve_app.settings import EngineName, OnnxName

BATCH: Final = 32


@dataclass(frozen=True)
class Evaluation:
    """What one engine does on a labelled data set.

    Attributes:
        engine: Which engine.
        texts: Texts in the data set.
        accuracy: Share of right labels.
        flips: Texts whose label differs from the reference's.
        off_p995: Difference of probabilities to the reference that 99.5 % stay below.
        off_worst: Largest such difference.
        texts_per_s: Texts a second on one thread, in batches of like length.
    """

    engine: EngineName
    texts: int
    accuracy: float
    flips: int
    off_p995: float
    off_worst: float
    texts_per_s: float


def read_tsv(path: Path, labels: tuple[str, ...]) -> tuple[list[str], NDArray[np.int64]]:
    """Read texts and label ids from a TSV file with the columns text and label.

    Labels are ids or, in any case, names.

    Raises:
        StartupError: The file is missing or of another form.
    """
    ids = {name.lower(): index for index, name in enumerate(labels)}
    ids |= {str(index): index for index in range(len(labels))}
    try:
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        texts = [row["text"] for row in rows]
        known = np.array([ids[row["label"].lower()] for row in rows], dtype=np.int64)
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, AttributeError) as error:
        raise StartupError(
            f"{path}: no column or no label {error}",
            f"the file needs the columns text and label; labels are {', '.join(ids)}",
        ) from None
    if not texts:
        raise StartupError(f"{path} holds no texts")
    return texts, known


def evaluate(model: ModelIdentity, data: Path, report: Callable[[str], None]) -> list[Evaluation]:
    """Run every engine over a data set.

    Args:
        model: A prepared model.
        data: TSV file with the columns text and label.
        report: Told in a line what is being done.

    Raises:
        StartupError: The data or an engine cannot be read.
    """
    artefact = find(model)
    if artefact is None:
        raise ModelUnusable(
            f"{model.model_id} has not been prepared", "run `sentiment model prepare`"
        )
    engines: dict[EngineName, Callable[[], Engine]] = {
        "torch": lambda: load_engine(model, "torch", threads=1, device="cpu"),
        "onnx-fp32": lambda: _onnx(model, artefact, "onnx-fp32"),
        "onnx-int8": lambda: _onnx(model, artefact, "onnx-int8"),
    }
    texts, labels = read_tsv(data, model.labels)
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    rows: list[Evaluation] = []
    reference = np.empty(0)
    for name, open_engine in engines.items():
        report(f"{name}: {len(texts)} texts")
        engine = open_engine()
        started = time.perf_counter()
        seen = probabilities(_by_length(engine, token_ids))
        seconds = time.perf_counter() - started
        if not rows:
            reference = seen
        off = np.abs(seen - reference).max(axis=1)
        rows.append(
            Evaluation(
                engine=name,
                texts=len(texts),
                accuracy=float((seen.argmax(axis=1) == labels).mean()),
                flips=int((seen.argmax(axis=1) != reference.argmax(axis=1)).sum()),
                off_p995=float(np.quantile(off, 0.995)),
                off_worst=float(off.max()),
                texts_per_s=len(texts) / seconds,
            )
        )
    return rows


def table(rows: list[Evaluation]) -> str:
    """Return the evaluations as a Markdown table."""
    head = "| engine | accuracy | flipped labels | 99.5 % within | worst | texts/s, 1 thread |"
    body = [
        f"| {row.engine} | {row.accuracy:.4f} | {row.flips} of {row.texts} | {row.off_p995:.4f} "
        f"| {row.off_worst:.4f} | {row.texts_per_s:.0f} |"
        for row in rows
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *body])


def _onnx(model: ModelIdentity, artefact: OnnxBundle, name: OnnxName) -> OnnxEngine:
    return OnnxEngine(artefact.path(name), name, pad_id=model.pad_id, threads=1)


def _by_length(engine: Engine, token_ids: list[list[int]]) -> NDArray[np.float32]:
    order = np.argsort([len(ids) for ids in token_ids], kind="stable")
    logits = batched_logits(engine, [token_ids[index] for index in order], BATCH)
    return logits[np.argsort(order)]
