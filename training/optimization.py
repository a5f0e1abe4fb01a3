"""Optimizer and learning-rate schedule of a fine-tuning run."""

import re

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    get_constant_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from training.recipe import Recipe

_LAYER = re.compile(r"\.layer\.(\d+)\.")


def adamw(model: PreTrainedModel, recipe: Recipe) -> torch.optim.AdamW:
    """Build AdamW with a rate for each layer and weight decay for matrices only.

    The rate falls by the recipe's ``layer_decay`` for every layer from the head down to the
    embeddings (https://arxiv.org/abs/1801.06146, section 3.2).

    Args:
        model: The classifier.
        recipe: Settings.

    Returns:
        The optimizer.
    """
    layers = model.config.num_hidden_layers
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = layer_depth(name, model.base_model_prefix, layers)
        groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": recipe.learning_rate * recipe.layer_decay**depth,
                "weight_decay": recipe.weight_decay if is_matrix else 0.0,
            }
            for (depth, is_matrix), parameters in groups.items()
        ],
        fused=True,
    )


def learning_rates(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LambdaLR:
    """Build the schedule of the learning rate.

    Args:
        optimizer: Its rates are the peaks.
        recipe: Settings.
        steps: Optimizer steps of the whole run.

    Returns:
        The schedule, to be moved on after every step.
    """
    warmup = int(recipe.warmup * steps)
    schedule: LambdaLR
    if recipe.schedule == "constant":
        schedule = get_constant_schedule_with_warmup(optimizer, warmup)
    else:
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
    return schedule


def layer_depth(name: str, encoder: str, layers: int) -> int:
    """Count the layers between a parameter and the classification head.

    Args:
        name: The parameter's name in the model.
        encoder: Name of the encoder in the model, such as ``distilbert``.
        layers: Number of the encoder's layers.

    Returns:
        0 in the head, 1 in the last layer, ``layers + 1`` in the embeddings.
    """
    if match := _LAYER.search(name):
        return layers - int(match[1])
    return layers + 1 if name.startswith(f"{encoder}.embeddings") else 0
