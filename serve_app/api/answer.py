"""Answers assembled from ready bytes.

A text's part of an answer depends on nothing but its logits, so it is made once and kept.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from serve_app.errors import InferenceFailed
from serve_app.scores import TextLogits

Transform = Literal["softmax", "sigmoid", "none"]

FRAGMENTS_KEPT = 16_384


def predictions(labels: tuple[str, ...], texts: Iterable[TextLogits]) -> bytes:
    """Return the JSON of a prediction: every label of every text.

    Args:
        labels: Label names in the order of the logits.
        texts: The request's texts, in its order.

    Raises:
        InferenceFailed: A logit is no finite number.
    """
    fragments = (fragment(labels, text.logits, "softmax", None) for text in texts)
    return b'{"predictions":[' + b",".join(fragments) + b"]}"


@lru_cache(FRAGMENTS_KEPT)
def fragment(
    labels: tuple[str, ...],
    logits: tuple[float, ...],
    transform: Transform,
    top_k: int | None,
) -> bytes:
    """Return the JSON list of one text's labels, highest score first.

    Equal scores keep the order of the labels.

    Args:
        labels: Label names.
        logits: One float32 value per label.
        transform: What turns the logits into scores.
        top_k: How many labels to return; all where it is None or larger.

    Raises:
        InferenceFailed: A logit is no finite number.
    """
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed("The model gave a text a score that is no finite number.")
    scores = map(np.float32, _TRANSFORMS[transform](logits))
    ranked = sorted(zip(labels, scores, strict=True), key=lambda pair: pair[1], reverse=True)
    items = (
        f'{{"label":{json.dumps(label)},"score":{decimal(score)}}}'
        for label, score in ranked[:top_k]
    )
    return f"[{','.join(items)}]".encode()


def decimal(value: np.float32) -> str:
    """Return the shortest plain decimal that is read back as the same float32.

    Dragon4 as in `numpy.format_float_positional`, which has no exponent form.
    """
    return np.format_float_positional(value, unique=True, trim="0")


def _softmax(logits: Sequence[float]) -> list[float]:
    """Return exp(x) / sum(exp(x)) in float64, shifted by the largest x against overflow."""
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _sigmoid(logits: Sequence[float]) -> list[float]:
    """Return 1 / (1 + exp(-x)) in float64; exp is only taken of what cannot overflow."""
    powers = [math.exp(-abs(logit)) for logit in logits]
    return [
        (1.0 if logit >= 0 else power) / (1.0 + power)
        for logit, power in zip(logits, powers, strict=True)
    ]


_TRANSFORMS: dict[Transform, Callable[[Sequence[float]], list[float]]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "none": list,
}
