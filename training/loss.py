"""The training loss: cross-entropy, and agreement between passes with different dropout."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

# Longer texts pass once: two passes would nearly double the time of the slowest micro-batches.
CONSISTENCY_TOKENS = 64


def pass_count(consistency: float, length: int) -> int:
    """Return how often a micro-batch passes through the model.

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
