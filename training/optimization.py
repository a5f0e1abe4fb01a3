"""Optimization of a fine-tuning run: loss, optimizer and learning-rate schedule."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    get_constant_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from training.recipe import Recipe

# Longer texts get one forward pass: two would nearly double the time of the slowest micro-batches.
CONSISTENCY_TOKENS = 64

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
        The schedule; call its ``step`` after each optimizer step.
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


def pass_count(consistency: float, length: int) -> int:
    """Return the number of forward passes of a micro-batch.

    Args:
        consistency: Weight of the agreement between passes.
        length: Padded length of the micro-batch in tokens.

    Returns:
        2 if agreement counts and the texts are short, otherwise 1.
    """
    return 2 if consistency > 0 and length <= CONSISTENCY_TOKENS else 1


def summed_loss(
    passes: Sequence[Tensor], labels: Tensor, *, label_smoothing: float, consistency: float
) -> Tensor:
    """Compute the loss of R-Drop (https://arxiv.org/abs/2106.14448), summed over the rows.

    Args:
        passes: Logits of one pass or of two passes of the same rows, each (rows, labels).
        labels: True labels, shape (rows,).
        label_smoothing: Share of the target spread evenly over the labels.
        consistency: Weight of the divergence between two passes.

    Returns:
        The mean cross-entropy of the passes, plus the weighted divergence of two, in nats.
    """
    entropies = [
        cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
        for logits in passes
    ]
    loss = torch.stack(entropies).mean()
    if len(passes) == 1:
        return loss
    first, second = passes
    return loss + consistency * symmetric_divergence(first, second)


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Compute the mean of KL(p|q) and KL(q|p), summed over the rows.

    Args:
        first: Logits of p, shape (rows, labels).
        second: Logits of q, shape (rows, labels).

    Returns:
        The divergence in nats, a scalar.
    """
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    return 0.5 * ((p.exp() - q.exp()) * (p - q)).sum()
