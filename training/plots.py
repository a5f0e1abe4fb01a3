"""Plots of an evaluation, as PNG files."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from training.calibration import Integers, Reliability
from training.corpus import LABELS

SIZE_INCHES = (4.5, 4.0)
DOTS_PER_INCH = 100


def draw_confusion(confusion: Integers, name: str, path: Path) -> None:
    """Draw a confusion matrix.

    Args:
        confusion: Counts of (true label, predicted label), shape (labels, labels).
        name: Name of the data, for the title.
        path: PNG file to write.
    """
    figure, axes = _figure(f"Confusion matrix, {name}")
    ConfusionMatrixDisplay(confusion, display_labels=LABELS).plot(
        ax=axes, cmap="Blues", colorbar=False
    )
    figure.savefig(path)


def draw_reliability(reliability: Reliability, name: str, path: Path) -> None:
    """Draw accuracy against confidence.

    Args:
        reliability: Confidence and accuracy in bins.
        name: Name of the data, for the title.
        path: PNG file to write.
    """
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
    axes.set(xlim=(0.5, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="lower right")
    figure.savefig(path)


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize="medium")
    return figure, axes
