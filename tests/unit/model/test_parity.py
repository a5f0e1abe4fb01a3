import numpy as np
import pytest

from serve_app.model.parity import Parity, compare, probabilities


def test_probabilities_are_the_softmax() -> None:
    measured = probabilities(np.array([[0.0, np.log(3)], [1000.0, 0.0]]))
    assert measured == pytest.approx(np.array([[0.25, 0.75], [1.0, 0.0]]))


def test_measures_are_shares_of_the_texts() -> None:
    def from_probability(*positive: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.log(np.array([[1 - p, p] for p in positive], dtype=np.float64))

    reference = from_probability(0.9, 0.51, 0.2, 0.6)
    candidate = from_probability(0.9, 0.49, 0.4, 0.6)
    alone = from_probability(0.9, 0.49, 0.4, 0.65)
    parity = compare(reference, candidate, alone)
    assert parity.texts == 4
    assert (parity.flips, parity.far) == (0.25, 0.25)
    assert (parity.worst, parity.variance) == pytest.approx((0.2, 0.05))


def test_a_faithful_engine_is_not_refused() -> None:
    assert Parity(1000, 0.007, 0.005, 0.9, 1e-3).refusal("onnx-int8") == ""


@pytest.mark.parametrize(
    ("parity", "measure"),
    [
        (Parity(1000, 0.0071, 0, 0, 0), "flips"),
        (Parity(1000, 0, 0.0051, 0, 0), "far"),
        (Parity(1000, 0, 0, 0, 1.1e-3), "variance"),
    ],
)
def test_a_broken_bound_is_named(parity: Parity, measure: str) -> None:
    assert parity.refusal("onnx-int8").startswith(measure)


def test_fp32_has_to_agree_exactly_in_its_labels() -> None:
    assert Parity(1000, 0.001, 0, 0, 0).refusal("onnx-fp32")
