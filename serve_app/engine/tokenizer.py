"""From texts to token ids."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as FastTokenizer

from serve_app.errors import ModelUnusable
from serve_app.model.store import ModelIdentity


class Tokens(NamedTuple):
    """The model's input for one text.

    Attributes:
        ids: Token ids, special tokens included, at most the model's maximum.
        truncated: Whether tokens had to be cut off.
    """

    ids: list[int]
    truncated: bool


class Tokenizer:
    """The model's own tokenizer, without torch or transformers.

    Args:
        model: Its directory holds `tokenizer.json`.

    Raises:
        ModelUnusable: The file is not a tokenizer.
    """

    def __init__(self, model: ModelIdentity) -> None:
        path = model.path / "tokenizer.json"
        try:
            self._tokenizer = FastTokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more exact
            problem = f"{path} is not a tokenizer: {' '.join(str(error).split())}"
            raise ModelUnusable(problem, "fetch the model again") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=model.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, in order."""
        return [
            Tokens(encoding.ids, bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch_fast(list(texts))
        ]


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
