"""Texts to token ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer as FastTokenizer

from serve_app.console import install
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import ModelIdentity


class Tokens(NamedTuple):
    """Token ids of one text, special ones included, and whether some had to be cut off.

    A text without tokens is read as one padding token.
    """

    ids: list[int]
    truncated: bool


class Tokenizer:
    """The tokenizer that transformers would build for the model.

    It comes from the model's bundle, where the preparation has left it, else from transformers.

    Args:
        model: Its directory.
        file: A tokenizer.json to take as it is.

    Raises:
        ModelUnusable: There is none, or it leaves no room for a text.
    """

    def __init__(self, model: ModelIdentity, file: Path | None = None) -> None:
        bundle = None if file else find_bundle(model)
        file = bundle.tokenizer if bundle else file
        self._tokenizer = tokenizer = _from_file(file) if file else _from_transformers(model)
        direction = (tokenizer.truncation or {}).get("direction", "right")
        tokenizer.no_padding()
        tokenizer.enable_truncation(model.max_tokens, direction=direction)
        if (special := tokenizer.num_special_tokens_to_add(False)) >= model.max_tokens:
            raise ModelUnusable(
                f"{model.path} reads {model.max_tokens} tokens, {special} of them special ones",
                "correct model_max_length in tokenizer_config.json",
            )
        self._blank = [model.pad_id]

    @property
    def max_id(self) -> int:
        """The largest token id that a text can have."""
        return max(self._tokenizer.get_vocab().values())

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, in order."""
        return [
            Tokens(encoding.ids or self._blank, bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch_fast(list(texts))
        ]

    def save(self, file: Path) -> None:
        """Write tokenizer.json."""
        self._tokenizer.save(str(file))


def _from_file(file: Path) -> FastTokenizer:
    try:
        return FastTokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more exact
        reason = " ".join(str(error).split())
        raise ModelUnusable(f"{file} is no tokenizer: {reason}", "fetch the model again") from error


def _from_transformers(model: ModelIdentity) -> FastTokenizer:
    file = model.path / "tokenizer.json"
    plain = _from_file(file) if file.exists() else None
    try:
        from serve_app.engine.checkpoint import load_tokenizer  # noqa: PLC0415 - seconds
    except ImportError as error:
        if plain:
            return plain
        problem = f"converting the tokenizer of {model.path} needs {error.name}"
        raise ModelUnusable(problem, install("torch")) from error
    return load_tokenizer(model)
