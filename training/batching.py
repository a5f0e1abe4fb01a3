"""Token ids and length-bucketed batches with few distinct shapes."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.recipe import LENGTHS


@dataclass(frozen=True)
class MicroBatch:
    """Rows of similar length that pass through the model together.

    Attributes:
        rows: Indices of the examples.
        length: Tokens that each row is padded to.
    """

    rows: tuple[int, ...]
    length: int


Step = Sequence[MicroBatch]


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int
) -> list[list[int]]:
    """Turn texts into token ids.

    Args:
        tokenizer: A fast tokenizer.
        texts: The texts.
        max_tokens: Tokens, special ones included, that longer texts are cut to.

    Returns:
        One list of token ids per text, unpadded.
    """
    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def plan_epoch(
    lengths: Sequence[int], batch_size: int, microbatch_tokens: int, seed: str
) -> list[Step]:
    """Group an epoch's examples into optimizer steps.

    Rows of similar length form micro-batches of equal size; rows left over in a bucket move to
    the next longer one. Shuffled micro-batches are then gathered into steps of at least
    ``batch_size`` rows, so that a step may mix lengths.

    Args:
        lengths: Number of tokens of each example, at most 512.
        batch_size: Minimum number of rows of a step, the last step excepted.
        microbatch_tokens: Maximum number of padded tokens of a micro-batch; one row is
            always allowed.
        seed: Seed of the order.

    Returns:
        The steps; every example occurs exactly once.
    """
    rng = random.Random(seed)
    buckets: dict[int, list[int]] = {length: [] for length in LENGTHS}
    for row in rng.sample(range(len(lengths)), len(lengths)):
        buckets[bucket_length(lengths[row])].append(row)
    microbatches: list[MicroBatch] = []
    rest: list[int] = []
    longest = bucket_length(max(lengths, default=0))
    for length in LENGTHS[: LENGTHS.index(longest) + 1]:
        size = max(1, min(batch_size, microbatch_tokens // length))
        rows = rest + buckets[length]
        whole = len(rows) - len(rows) % size if length < longest else len(rows)
        microbatches += [
            MicroBatch(tuple(rows[start : start + size]), length) for start in range(0, whole, size)
        ]
        rest = rows[whole:]
    rng.shuffle(microbatches)
    return _gather(microbatches, batch_size)


def bucket_length(length: int) -> int:
    """Return the padded length of a text of ``length`` tokens, at most 512."""
    return LENGTHS[bisect_left(LENGTHS, length)]


def _gather(microbatches: Sequence[MicroBatch], batch_size: int) -> list[Step]:
    steps: list[Step] = []
    current: list[MicroBatch] = []
    for microbatch in microbatches:
        current.append(microbatch)
        if sum(len(m.rows) for m in current) >= batch_size:
            steps.append(current)
            current = []
    return [*steps, current] if current else steps


def pad(token_ids: Sequence[Sequence[int]], length: int, pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad token lists to a rectangle.

    Args:
        token_ids: One list of at most ``length`` token ids per row.
        length: Width of the result.
        pad_id: Token id to fill up with.

    Returns:
        Token ids and attention mask, both int64 of shape (rows, length).
    """
    ids = torch.full((len(token_ids), length), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(token_ids):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids, mask
