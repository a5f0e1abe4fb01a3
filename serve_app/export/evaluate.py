"""Compare the engines on labelled texts: accuracy, labels flipped and speed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.decoding import labelled_lines
from serve_app.engine.engine import Engine, OnnxEngine, batched_logits, load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import StartupError
from serve_app.model.onnx_bundle import prepared_bundle
from serve_app.model.parity import probabilities
from serve_app.model.store import ModelIdentity
from serve_app.settings import EngineName

BATCH: Final = 32


class Evaluation(NamedTuple):
    """Figures of one engine on a labelled data set.

    `flips` are texts whose label differs from torch's, `off_p995` and `off_worst` the 99.5th
    percentile and the largest of the differences of a text's probabilities to torch's. The rate is
    that of one thread, in batches of like length.
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

    Labels are names, in upper or lower case where only one name is meant, or else ids. Raises
    `StartupError` if the file is missing or of another form.
    """
    ids = {str(index): index for index in range(len(labels))}
    folded = [name.lower() for name in labels]
    ids |= {name: index for index, name in enumerate(folded) if folded.count(name) == 1}
    ids |= {name: index for index, name in enumerate(labels)}
    rows = list(labelled_lines(path))
    if not rows:
        raise StartupError(f"{path} has no texts", "add at least one line with a text and a label")
    found = [ids.get(label, ids.get(label.lower())) for _, _, label in rows]
    for (number, _, label), label_id in zip(rows, found, strict=True):
        if label_id is None:
            raise StartupError(
                f"{path}, line {number}: the model has no label {label!r}",
                f"labels are {', '.join(ids)}",
            )
    return [text for _, text, _ in rows], np.array(found, dtype=np.int64)


def evaluate(model: ModelIdentity, data: Path, progress: Callable[[str], None]) -> list[Evaluation]:
    """Run torch and the ONNX engines of a prepared model over a TSV file, see `read_tsv`.

    Raises `StartupError` if the data or an engine cannot be read.
    """
    bundle = prepared_bundle(model)
    texts, labels = read_tsv(data, model.labels)
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(texts)]
    by_length = np.argsort([len(ids) for ids in token_ids], kind="stable")
    token_ids, labels = [token_ids[index] for index in by_length], labels[by_length]
    engines: dict[EngineName, Engine] = {
        "torch": load_engine(model, "torch", threads=1, device="cpu")
    }
    for onnx in bundle.parity:
        engines[onnx] = OnnxEngine(bundle.path(onnx), onnx, pad_id=model.pad_id, threads=1)
    evaluations: list[Evaluation] = []
    reference = np.empty(0)
    for name, engine in engines.items():
        progress(f"{name}: {len(texts)} texts")
        started = time.perf_counter()
        measured = probabilities(batched_logits(engine, token_ids, BATCH), model.transform)
        seconds = time.perf_counter() - started
        reference = measured if name == "torch" else reference
        predicted = measured.argmax(axis=1)
        off = np.abs(measured - reference).max(axis=1)
        evaluations.append(
            Evaluation(
                engine=name,
                texts=len(texts),
                accuracy=float((predicted == labels).mean()),
                flips=int((predicted != reference.argmax(axis=1)).sum()),
                off_p995=float(np.quantile(off, 0.995)),
                off_worst=float(off.max()),
                texts_per_s=len(texts) / seconds,
            )
        )
    return evaluations


def evaluation_table(evaluations: list[Evaluation]) -> str:
    """Return the evaluations as a Markdown table."""
    rows = [
        f"| {row.engine} | {row.accuracy:.4f} | {row.flips} of {row.texts} | {row.off_p995:.4f} "
        f"| {row.off_worst:.4f} | {row.texts_per_s:.0f} |"
        for row in evaluations
    ]
    head = "| engine | accuracy | flipped labels | 99.5 % within | worst | texts/s, 1 thread |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])
