"""Calibration of classification probabilities: measuring it and improving it.

The measures and temperature scaling follow Guo et al., "On Calibration of Modern Neural
Networks", https://arxiv.org/abs/1706.04599.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss
from transformers import PreTrainedModel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BINS = 15
TEMPERATURES = (0.2, 5.0)


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in equal-width bins of confidence.

    Attributes:
        edges: Bin edges between 0 and 1, shape (bins + 1,).
        counts: Predictions in each bin, shape (bins,).
        confidence: Mean confidence of each bin, 0 where it is empty, shape (bins,).
        accuracy: Share of right predictions in each bin, 0 where it is empty, shape (bins,).
    """

    edges: Floats
    counts: Integers
    confidence: Floats
    accuracy: Floats

    @property
    def expected_calibration_error(self) -> float:
        """The gap between confidence and accuracy, averaged over all predictions."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(probabilities: Floats, labels: Integers, bins: int = BINS) -> Reliability:
    """Bin the predictions by the confidence in the predicted label.

    Args:
        probabilities: Shape (examples, labels), rows summing to 1.
        labels: True labels, shape (examples,).
        bins: Number of equal-width bins; each includes its upper edge.

    Returns:
        The binned confidence and accuracy.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    filled = np.maximum(counts, 1)
    return Reliability(
        edges=edges,
        counts=counts,
        confidence=np.bincount(index, weights=confidence, minlength=bins) / filled,
        accuracy=np.bincount(index, weights=right, minlength=bins) / filled,
    )


def fit_temperature(logits: Floats, labels: Integers) -> float:
    """Find the temperature that minimizes the log loss.

    Args:
        logits: Shape (examples, labels).
        labels: True labels, shape (examples,).

    Returns:
        The divisor of the logits, between 0.2 and 5.
    """

    def loss(temperature: float) -> float:
        probabilities = softmax(logits / temperature, axis=1)
        return float(log_loss(labels, probabilities, labels=np.arange(logits.shape[1])))

    return float(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x)


def fold_temperature(model: PreTrainedModel, temperature: float) -> None:
    """Divide the model's logits by a temperature for good, by way of its classifier's weights.

    Args:
        model: Model whose last linear layer is the attribute ``classifier``; changed in place.
        temperature: The divisor.
    """
    classifier: Any = model.classifier
    last = classifier if isinstance(classifier, torch.nn.Linear) else classifier.out_proj
    with torch.no_grad():
        last.weight.div_(temperature)
        last.bias.div_(temperature)
