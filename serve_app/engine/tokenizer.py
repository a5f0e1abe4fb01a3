"""Texts to token ids."""

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer as FastTokenizer

from serve_app.errors import ModelUnusable
from serve_app.model.store import ModelIdentity


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

    Raises:
        ModelUnusable: The file is JSON, but no tokenizer.
    """

    def __init__(self, model: ModelIdentity) -> None:
        path = model.path / "tokenizer.json"
        try:
            self._tokenizer = FastTokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more exact
            reason = " ".join(str(error).split())
            raise ModelUnusable(
                f"{path} is no tokenizer: {reason}", "fetch the model again"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=model.max_tokens)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, in order."""
        return [
            Tokens(encoding.ids, bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch_fast(list(texts))
        ]
