"""Tokenizers without settings left over from earlier use."""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

LEFTOVERS = ("max_length", "pad_to_multiple_of", "stride", "truncation_strategy")


def load_tokenizer(source: str, max_tokens: int) -> PreTrainedTokenizerBase:
    """Load a tokenizer without the padding and truncation of whoever saved it.

    Args:
        source: Directory or hub id.
        max_tokens: Most tokens of a text, which the tokenizer states when it is saved.

    Returns:
        The tokenizer.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source, model_max_length=max_tokens
    )
    for setting in LEFTOVERS:
        tokenizer.init_kwargs.pop(setting, None)
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Save a tokenizer that neither pads nor cuts by itself.

    Args:
        tokenizer: A fast tokenizer; calls with truncation may have changed its state.
        path: Directory to save to.
    """
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(path)


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
