"""Texts to token ids."""

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer as FastTokenizer

from serve_app.model.identity import ModelIdentity


class Tokens(NamedTuple):
    """One text as the model reads it.

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
    """

    def __init__(self, model: ModelIdentity) -> None:
        self._tokenizer = FastTokenizer.from_file(str(model.path / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=model.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, in order."""
        return [
            Tokens(encoding.ids, bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch_fast(list(texts))
        ]
