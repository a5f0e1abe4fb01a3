"""Evaluation of a classifier on labelled texts: figures, and plots as PNG files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
)
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.batching import encode, pad, plan_epoch
from training.calibration import Floats, Integers, Reliability, reliability
from training.corpus import Corpus, labels_of
from training.recipe import LABELS

SIZE_INCHES = (4.5, 4.0)
DOTS_PER_INCH = 100


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one corpus.

    Attributes:
        examples: Number of texts.
        accuracy: Share of right predictions.
        f1: F1 score of the second of two labels; the mean over more of them.
        log_loss: Mean negative log likelihood of the true label, in nats.
        confusion: Counts of (true label, predicted label), shape (labels, labels).
        reliability: Confidence and accuracy in bins.
    """

    examples: int
    accuracy: float
    f1: float
    log_loss: float
    confusion: Integers
    reliability: Reliability

    def figures(self) -> dict[str, Any]:
        """Return the figures in a form that JSON can hold."""
        return {
            "examples": self.examples,
            "accuracy": round(self.accuracy, 4),
            "f1": round(self.f1, 4),
            "log_loss": round(self.log_loss, 4),
            "expected_calibration_error": round(self.reliability.expected_calibration_error, 4),
            "confusion": self.confusion.tolist(),
        }

    def draw(self, directory: Path, name: str, labels: Sequence[str]) -> None:
        """Write ``confusion.png`` and ``reliability.png``, titled ``name``, to a directory."""
        _draw_confusion(self.confusion, name, labels, directory / "confusion.png")
        _draw_reliability(self.reliability, name, len(labels), directory / "reliability.png")


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    max_tokens: int,
    microbatch_tokens: int,
) -> Floats:
    """Compute the logits of every text of a corpus.

    Args:
        model: Classifier; evaluation mode is set.
        tokenizer: Its tokenizer.
        corpus: The texts.
        max_tokens: Tokens, special ones included, that longer texts are cut to.
        microbatch_tokens: Maximum number of padded tokens in one forward pass.

    Returns:
        Logits in corpus order, shape (examples, labels).
    """
    model.eval()
    token_ids = encode(tokenizer, [example.text for example in corpus], max_tokens)
    steps = plan_epoch(
        [len(ids) for ids in token_ids], len(corpus), microbatch_tokens, "evaluation"
    )
    logits = np.zeros((len(corpus), len(model.config.id2label or ())))
    with torch.inference_mode():
        for batch in tqdm([b for step in steps for b in step], desc="evaluate", leave=False):
            rows = list(batch.rows)
            ids, mask = pad([token_ids[r] for r in rows], batch.length, tokenizer.pad_token_id)
            output = model(ids.to(model.device), attention_mask=mask.to(model.device))
            logits[rows] = output.logits.double().cpu().numpy()
    return logits


def evaluate(logits: Floats, corpus: Corpus) -> Evaluation:
    """Compare logits with the true labels.

    Args:
        logits: Shape (examples, labels).
        corpus: The examples in the same order.

    Returns:
        The figures.
    """
    labels = labels_of(corpus)
    probabilities = softmax(logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    classes = list(range(logits.shape[1]))
    average = "binary" if len(classes) == len(LABELS) else "macro"
    return Evaluation(
        examples=len(corpus),
        accuracy=float(accuracy_score(labels, predicted)),
        f1=float(f1_score(labels, predicted, average=average, zero_division=0.0)),
        log_loss=float(log_loss(labels, probabilities, labels=classes)),
        confusion=confusion_matrix(labels, predicted, labels=classes),
        reliability=reliability(probabilities, labels),
    )


def _draw_confusion(confusion: Integers, name: str, labels: Sequence[str], path: Path) -> None:
    figure, axes = _figure(f"Confusion matrix, {name}")
    ConfusionMatrixDisplay(confusion, display_labels=labels).plot(
        ax=axes, cmap="Blues", colorbar=False
    )
    figure.savefig(path)


def _draw_reliability(reliability: Reliability, name: str, labels: int, path: Path) -> None:
    error = reliability.expected_calibration_error
    figure, axes = _figure(f"Reliability, {name} (ECE {error:.3f})")
    filled = reliability.counts > 0
    axes.bar(
        reliability.edges[:-1][filled],
        reliability.accuracy[filled],
        width=np.diff(reliability.edges)[filled],
        align="edge",
        edgecolor="white",
        label="accuracy",
    )
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", label="perfect calibration")
    axes.plot(
        reliability.confidence[filled],
        reliability.accuracy[filled],
        marker="o",
        color="tab:orange",
        label="mean confidence of the bin",
    )
    # The likeliest of n labels has a probability of 1 / n at least.
    axes.set(xlim=(1 / labels, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="lower right")
    figure.savefig(path)


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize="medium")
    return figure, axes
