from typing import Literal

import pytest

pytest.importorskip("torch")

import torch
from transformers import BertModel

from training.conversion import distilbert_from_bert
from training.optimization import adamw, layer_depth, learning_rates
from training.recipe import PRESETS


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
