"""Metrics and traces of a classifier replica."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serve_app.classifier.scheduler import BatchScheduler, ForwardPass
from serve_app.model.parity import probabilities
from serve_app.telemetry import metrics
from serve_app.telemetry.metrics import MetricSink
from serve_app.telemetry.tracing import shared_span

# A model's further labels are counted as one, so that its series stay few.
MAX_LABELS: Final = 20
OTHER: Final = "other"


class ForwardPassRecorder:
    """A recorder of forward passes in metrics, and in the traces of their callers.

    The labels are the model's, in the order of the logits.
    """

    def __init__(self, labels: Sequence[str], sink: MetricSink) -> None:
        self._labels = [label if i < MAX_LABELS else OTHER for i, label in enumerate(labels)]
        self._sink = sink

    def __call__(self, forward_pass: ForwardPass) -> None:
        """Record one forward pass."""
        lengths, queue_s, inference_s, logits, origins = forward_pass
        texts, tokens = len(lengths), sum(lengths)
        padding = max(lengths) * texts - tokens
        self._sink.observe(metrics.QUEUE_SECONDS, queue_s)
        self._sink.observe(metrics.INFERENCE_SECONDS, inference_s)
        self._sink.observe(metrics.BATCH_TEXTS, texts)
        self._sink.observe(metrics.BATCH_TOKENS, tokens + padding)
        self._sink.count(metrics.TOKENS, tokens, "text")
        self._sink.count(metrics.TOKENS, padding, "padding")
        for (label, tenths), count in count_predictions(logits).items():
            self._sink.count(metrics.PREDICTIONS, count, self._labels[label], f"{tenths / 10:.1f}")
        callers = list({origin.span_id: origin for origin in origins if origin}.values())
        shared_span("inference", callers, inference_s, texts=texts, tokens=tokens, padding=padding)


def follow_scheduler(sink: MetricSink, scheduler: BatchScheduler) -> None:
    """Let the metrics follow a scheduler from now on."""
    sink.follow(metrics.WAITING_TEXTS, lambda: scheduler.waiting)
    sink.follow(metrics.ABANDONED_TEXTS, lambda: scheduler.left, "left")
    sink.follow(metrics.ABANDONED_TEXTS, lambda: scheduler.late, "deadline")
    sink.follow(metrics.FAILED_TEXTS, lambda: scheduler.failed)


def count_predictions(logits: NDArray[np.float32]) -> Counter[tuple[int, int]]:
    """Count texts by index of the predicted label and by its probability, in tenths rounded up.

    Args:
        logits: Of shape [texts, labels]; texts with a logit that is not finite do not count.
    """
    finite = probabilities(logits[np.isfinite(logits).all(axis=1)])
    tenths = np.ceil(finite.max(axis=1) * 10).astype(int)
    return Counter(zip(finite.argmax(axis=1).tolist(), tenths.tolist(), strict=True))
