"""From texts to token ids."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as FastTokenizer

from serve_app.console import install
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import ModelIdentity

# Pairs of tokens whose attention with 16 heads takes `MAX_ATTENTION_BYTES`.
MAX_PAIRS: Final = 2**22


class Tokens(NamedTuple):
    """Token ids of one text, special ones included, and whether some had to be cut off.

    A text without tokens is read as one padding token.
    """

    ids: list[int]
    truncated: bool


class Tokenizer:
    """The tokenizer that transformers would build for the model.

    It comes from `file`, a tokenizer.json, else from the model's bundle, where the preparation has
    left it, else from transformers. Raises `ModelUnusable` if it leaves no room for a text.
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
        raise ModelUnusable(
            f"{file} is not a tokenizer: {reason}", "fetch the model again"
        ) from error


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


def padded(
    token_ids: Sequence[Sequence[int]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad sequences on the right; return token ids and attention mask, both [texts, longest]."""
    lengths = np.fromiter(map(len, token_ids), dtype=np.int64, count=len(token_ids))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in token_ids])
    return ids, mask.astype(np.int64)


def passes(token_ids: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """Yield a batch in parts whose attention, over the padded texts, has at most `MAX_PAIRS`."""
    size = max(1, MAX_PAIRS // max(map(len, token_ids)) ** 2)
    for start in range(0, len(token_ids), size):
        yield token_ids[start : start + size]
