"""Model directories in Hugging Face form: load and save classifiers and tokenizers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from serve_app.engine import checkpoint

# Safetensors files are created readable by their owner alone; servers run as another user.
READABLE_BY_ALL = 0o644

# Settings of earlier calls, which are saved with a tokenizer.
LEFTOVERS = ("max_length", "pad_to_multiple_of", "stride", "truncation_strategy")


def replace_directory(path: Path, write: Callable[[Path], object]) -> None:
    """Write a directory beside an old one and then put it in the old one's place.

    Args:
        path: The directory to replace; it need not exist.
        write: Called with the path of a directory to write everything into.
    """
    scratch = path.with_name(f"{path.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    write(scratch)
    shutil.rmtree(path, ignore_errors=True)
    scratch.rename(path)


def load_classifier(path: Path, device: str | torch.device = "cpu") -> PreTrainedModel:
    """Load a classifier.

    Args:
        path: Directory in Hugging Face form.
        device: Where to put the model.

    Returns:
        The model with its weights widened to float32, whatever they were saved as.

    Raises:
        ModelUnusable: It cannot be loaded, or its weights do not fit.
    """
    return checkpoint.load_classifier(path, dtype=torch.float32, device_map=device)


def save_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, weights: str, path: Path
) -> None:
    """Save a classifier and its tokenizer.

    The configuration asks for float32, so that loading widens smaller weights again.

    Args:
        model: The classifier; its weights are converted in place.
        tokenizer: Its tokenizer.
        weights: Number format of the saved weights: ``float16`` or ``float32``.
        path: An existing directory.
    """
    model.to(getattr(torch, weights)).save_pretrained(path)
    model.config.dtype = torch.float32
    model.config.save_pretrained(path)
    save_tokenizer(tokenizer, path)
    for file in path.iterdir():
        file.chmod(READABLE_BY_ALL)


def load_tokenizer(
    source: str, max_tokens: int, *, offline: bool = False
) -> PreTrainedTokenizerBase:
    """Load a tokenizer without the padding and truncation that were saved with it.

    Args:
        source: Directory or hub id.
        max_tokens: Maximum number of tokens of a text, saved with the tokenizer.
        offline: Whether the hub is not asked.

    Returns:
        The tokenizer.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source, model_max_length=max_tokens, trust_remote_code=False, local_files_only=offline
    )
    for setting in LEFTOVERS:
        tokenizer.init_kwargs.pop(setting, None)
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Save a tokenizer that does not pad or cut by itself.

    Args:
        tokenizer: A fast tokenizer; calls with truncation may have changed its state.
        path: Directory to save to.
    """
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(path)


def directory_bytes(path: Path) -> int:
    """Return the total size of a directory's files in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
