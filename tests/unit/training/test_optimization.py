import math
from typing import Literal

import pytest

pytest.importorskip("torch")

import torch
from torch.nn.functional import cross_entropy
from transformers import BertModel

from training.conversion import distilbert_from_bert
from training.optimization import (
    adamw,
    layer_depth,
    learning_rates,
    pass_count,
    summed_loss,
    symmetric_divergence,
)
from training.recipe import PRESETS

LOGITS = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
LABELS = torch.tensor([1, 0, 1])


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("classifier.weight", 0),
        ("pre_classifier.bias", 0),
        ("distilbert.transformer.layer.5.ffn.lin1.weight", 1),
        ("distilbert.transformer.layer.0.ffn.lin1.weight", 6),
        ("distilbert.embeddings.word_embeddings.weight", 7),
    ],
)
def test_depth_counts_down_from_the_head(name: str, depth: int) -> None:
    assert layer_depth(name, "distilbert", layers=6) == depth


def test_rates_fall_towards_the_embeddings_and_vectors_do_not_decay(bert: BertModel) -> None:
    recipe = PRESETS["embedded"].model_copy(
        update={"learning_rate": 1.0, "layer_decay": 0.5, "weight_decay": 0.1}
    )
    model = distilbert_from_bert(bert)
    groups = adamw(model, recipe).param_groups
    assert {group["lr"] for group in groups} == {1.0, 0.5, 0.25, 0.125}
    for group in groups:
        is_matrix = {parameter.ndim > 1 for parameter in group["params"]}
        assert is_matrix == {group["weight_decay"] > 0}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("linear", [0.0, 0.5, 1.0, 0.5, 0.0]), ("constant", [0.0, 0.5, 1.0, 1.0, 1.0])],
)
def test_the_rate_rises_and_then_follows_the_schedule(
    schedule: Literal["linear", "constant"], rates: list[float]
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    recipe = PRESETS["embedded"].model_copy(update={"schedule": schedule, "warmup": 0.5})
    course = learning_rates(optimizer, recipe, steps=4)
    found = []
    for _ in rates:
        found.append(course.get_last_lr()[0])
        optimizer.step()
        course.step()
    assert found == rates


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
