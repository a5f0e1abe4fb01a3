import math

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.functional import cross_entropy

from training.loss import pass_count, summed_loss, symmetric_divergence

LOGITS = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
LABELS = torch.tensor([1, 0, 1])


@pytest.mark.parametrize("passes", [[LOGITS], [LOGITS, LOGITS]])
def test_equal_passes_give_plain_cross_entropy(passes: list[torch.Tensor]) -> None:
    loss = summed_loss(passes, LABELS, label_smoothing=0.1, consistency=3.0)
    expected = cross_entropy(LOGITS, LABELS, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_divergence_by_hand() -> None:
    # p = (1/2, 1/2), q = (1/4, 3/4): KL(p|q) = ln(2 / sqrt 3), KL(q|p) = 3/4 ln 3 - ln 2
    p, q = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3)]])
    expected = 0.5 * (math.log(2 / math.sqrt(3)) + 0.75 * math.log(3) - math.log(2))
    assert symmetric_divergence(p, q).item() == pytest.approx(expected)
    assert symmetric_divergence(q, p).item() == pytest.approx(expected)


def test_the_divergence_is_weighted_and_added_to_the_mean_of_the_passes() -> None:
    second = LOGITS.flip(0)
    loss = summed_loss([LOGITS, second], LABELS, label_smoothing=0.0, consistency=2.0)
    entropies = [cross_entropy(x, LABELS, reduction="sum") for x in (LOGITS, second)]
    expected = sum(entropies) / 2 + 2.0 * symmetric_divergence(LOGITS, second)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("consistency", "length", "passes"), [(1.0, 64, 2), (1.0, 96, 1), (0.0, 8, 1)]
)
def test_short_texts_pass_twice_if_agreement_counts(
    consistency: float, length: int, passes: int
) -> None:
    assert pass_count(consistency, length) == passes
