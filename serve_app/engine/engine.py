"""What every engine can do."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.settings import EngineName

MAX_PASS_TOKENS: Final = 8192


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
        batch: Maximum of texts in a pass; of long ones there are fewer.

    Returns:
        Logits of shape [texts, labels].
    """
    batches: list[list[Sequence[int]]] = [[]]
    for ids in token_ids:
        longest = max(map(len, [ids, *batches[-1]]))
        if len(batches[-1]) == batch or longest * (len(batches[-1]) + 1) > MAX_PASS_TOKENS:
            batches.append([])
        batches[-1].append(ids)
    return np.concatenate([engine.logits(texts) for texts in batches if texts])


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
