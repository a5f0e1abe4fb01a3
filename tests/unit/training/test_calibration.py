import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import numpy as np
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from training.calibration import fit_temperature, fold_temperature, reliability


def test_expected_calibration_error_by_hand() -> None:
    # Bins of width 0.25: two predictions of 0.6 (one right), two of 0.9 and 1.0 (both right).
    # |0.6 - 0.5| * 2/4 + |0.95 - 1| * 2/4 = 0.075
    probabilities = np.array([[0.6, 0.4], [0.4, 0.6], [0.1, 0.9], [1.0, 0.0]])
    result = reliability(probabilities, np.array([0, 0, 1, 0]), bins=4)
    assert result.counts.tolist() == [0, 0, 2, 2]
    assert result.expected_calibration_error == pytest.approx(0.075)


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin() -> None:
    result = reliability(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]), bins=4)
    assert result.counts.tolist() == [0, 1, 1, 0]


def test_temperature_undoes_a_known_scaling() -> None:
    generator = np.random.default_rng(0)
    positive = generator.normal(0.0, 2.0, 20_000)
    labels = (generator.random(20_000) < 1 / (1 + np.exp(-positive))).astype(np.int64)
    logits = np.stack([np.zeros_like(positive), 3 * positive], axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.05)


def test_folding_divides_the_logits() -> None:
    config = DistilBertConfig(vocab_size=9, dim=8, hidden_dim=8, n_layers=1, n_heads=1)
    model = DistilBertForSequenceClassification(config).eval()
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        before = model(ids).logits
        fold_temperature(model, 2.5)
        torch.testing.assert_close(model(ids).logits, before / 2.5)
