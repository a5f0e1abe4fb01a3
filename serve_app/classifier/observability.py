"""Metrics of a classifier replica."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serve_app.classifier.scheduler import Pass, Scheduler
from serve_app.model.config import Transform
from serve_app.model.parity import probabilities
from serve_app.telemetry.metrics import (
    ABANDONED_TEXTS,
    BATCH_TEXTS,
    BATCH_TOKENS,
    FAILED_TEXTS,
    INFERENCE_SECONDS,
    PREDICTIONS,
    QUEUE_SECONDS,
    TOKENS,
    WAITING_TEXTS,
    MetricSink,
)
from serve_app.telemetry.tracing import shared_span

TENTHS: Final = 10
MAX_LABELS: Final = 20
"""A model's further labels are counted as one, so that its series stay few."""
OTHER: Final = "other"


class PassMetrics:
    """Observes passes through the model.

    Args:
        labels: The model's labels, in the order of the logits.
        meters: Take the values.
        transform: Function from logits to scores.
    """

    def __init__(
        self, labels: Sequence[str], meters: MetricSink, transform: Transform = "softmax"
    ) -> None:
        self._labels = [label if i < MAX_LABELS else OTHER for i, label in enumerate(labels)]
        self._meters = meters
        self._transform = transform

    def __call__(self, done: Pass) -> None:
        """Count one pass."""
        meters = self._meters
        tokens, texts = sum(done.lengths), len(done.lengths)
        computed = max(done.lengths) * texts
        meters.observe(QUEUE_SECONDS, done.queue_s)
        meters.observe(INFERENCE_SECONDS, done.inference_s)
        meters.observe(BATCH_TEXTS, texts)
        meters.observe(BATCH_TOKENS, computed)
        meters.count(TOKENS, tokens, "text")
        meters.count(TOKENS, computed - tokens, "padding")
        for (label, tenth), count in predicted(done.logits, self._transform).items():
            meters.count(PREDICTIONS, count, self._labels[label], f"{tenth / TENTHS:.1f}")


def follow_scheduler(meters: MetricSink, scheduler: Scheduler) -> None:
    """Let the metrics follow a scheduler from now on."""
    meters.follow(WAITING_TEXTS, lambda: scheduler.waiting)
    meters.follow(ABANDONED_TEXTS, lambda: scheduler.left, "left")
    meters.follow(ABANDONED_TEXTS, lambda: scheduler.late, "deadline")
    meters.follow(FAILED_TEXTS, lambda: scheduler.failed)


def predicted(
    logits: NDArray[np.float32], transform: Transform = "softmax"
) -> dict[tuple[int, int], int]:
    """Count texts by predicted label and by the tenth that its probability is rounded up to.

    Args:
        logits: Of shape [texts, labels]; texts with a logit that is not finite are left out.
        transform: Function from logits to scores.

    Returns:
        Counts by index of the label and number of tenths, those that are zero left out.
    """
    finite = logits[np.isfinite(logits).all(axis=1)]
    probability = probabilities(finite, transform).max(axis=1)
    tenths = np.ceil(probability * TENTHS).astype(int)
    pairs = zip(finite.argmax(axis=1).tolist(), tenths.tolist(), strict=True)
    counts: dict[tuple[int, int], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def trace_pass(done: Pass) -> None:
    """Record a pass in the trace of every call that has a text in it."""
    callers = {caller.span_id: caller for caller in done.origins if caller}
    tokens = sum(done.lengths)
    shared_span(
        "inference",
        list(callers.values()),
        done.inference_s,
        texts=len(done.lengths),
        tokens=tokens,
        padding=max(done.lengths) * len(done.lengths) - tokens,
    )
