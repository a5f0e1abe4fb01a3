import numpy as np
import pytest

from serve_app.classifier.scheduler import ForwardPass
from serve_app.ray_serve.classifier import (
    MAX_LABELS,
    OTHER,
    count_predictions,
    forward_pass_recorder,
)
from tests.unit.telemetry.recorded_metrics import RecordedMetrics


def logits(*rows: tuple[float, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array(rows, dtype=np.float32)


def test_a_forward_pass_is_counted_by_tokens_and_padding() -> None:
    metrics = RecordedMetrics()
    forward_pass_recorder(("NEGATIVE", "POSITIVE"), metrics, "softmax")(
        ForwardPass([4, 6, 10], 0.5, 0.25, logits((0, 9), (9, 0), (0, 9)), [None] * 3)
    )
    assert metrics.counts["sentiment_tokens", "text"] == 20
    assert metrics.counts["sentiment_tokens", "padding"] == 10
    assert metrics.counts["sentiment_predictions", "POSITIVE", "1.0"] == 2
    assert metrics.counts["sentiment_predictions", "NEGATIVE", "1.0"] == 1
    assert metrics.observed == {
        "sentiment_queue_seconds": [0.5],
        "sentiment_inference_seconds": [0.25],
        "sentiment_batch_texts": [3],
        "sentiment_batch_tokens": [30],
    }


@pytest.mark.parametrize(
    ("row", "tenths"),
    [((0.0, 0.0), 5), ((0.0, 0.5), 7), ((1000.0, 0.0), 10), ((0.0, 0.0, 0.0), 4)],
)
def test_confidence_is_the_winners_probability_rounded_up(
    row: tuple[float, ...], tenths: int
) -> None:
    assert [key[1] for key in count_predictions(logits(row), "softmax")] == [tenths]


def test_what_is_not_finite_is_not_counted() -> None:
    assert count_predictions(logits((np.nan, 0.0), (0.0, np.inf)), "softmax") == {}


def test_a_model_of_many_labels_has_a_bounded_number_of_series() -> None:
    metrics = RecordedMetrics()
    labels = [f"label {n}" for n in range(500)]
    forward_pass_recorder(labels, metrics, "softmax")(
        ForwardPass([1] * 500, 0, 0, np.eye(500, dtype=np.float32) * 50, [None] * 500)
    )
    series = {key[1] for key in metrics.counts if key[0] == "sentiment_predictions"}
    assert len(series) == MAX_LABELS + 1
    assert OTHER in series
