"""What every engine can do."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.settings import EngineName

# Pairs of tokens whose attention with 16 heads takes `MAX_ATTENTION_BYTES`.
MAX_PAIRS: Final = 2**22


class Engine(Protocol):
    """A model loaded into memory."""

    @property
    def name(self) -> EngineName:
        """Name of the engine, part of every cache key."""

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch.

        Args:
            token_ids: One sequence of token ids per text, special tokens included.

        Returns:
            Logits of shape [texts, labels].
        """


def batched_logits(
    engine: Engine, token_ids: Sequence[Sequence[int]], batch: int
) -> NDArray[np.float32]:
    """Run any number of texts, in their order.

    Args:
        engine: What runs them.
        token_ids: At least one sequence of token ids.
        batch: Most texts in one pass.

    Returns:
        Logits of shape [texts, labels].
    """
    starts = range(0, len(token_ids), batch)
    return np.concatenate([engine.logits(token_ids[start : start + batch]) for start in starts])


def passes(token_ids: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Yield a batch in parts whose attention, over the padded texts, has at most `MAX_PAIRS`."""
    size = max(1, MAX_PAIRS // max(map(len, token_ids)) ** 2)
    for start in range(0, len(token_ids), size):
        yield token_ids[start : start + size]


def padded(
    token_ids: Sequence[Sequence[int]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad sequences on the right to the longest of them.

    Returns:
        Token ids and attention mask, both of shape [texts, longest].
    """
    lengths = np.fromiter(map(len, token_ids), dtype=np.int64, count=len(token_ids))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in token_ids])
    return ids, mask.astype(np.int64)
