"""What makes a model that model."""

from pathlib import Path
from typing import NamedTuple


class ModelIdentity(NamedTuple):
    """A model directory and what identifies its content.

    Attributes:
        path: Directory in Hugging Face form.
        model_id: Name that users know it by: `embedded`, the directory's name or the hub id.
        revision: Hub commit, or the first 12 characters of the digest.
        digest: blake2b over configuration, tokenizer and weights, hexadecimal.
        labels: Label names in the order of the logits.
        max_tokens: Most tokens that the model reads, special tokens included.
        pad_id: Token id that fills up shorter sequences in a batch.
    """

    path: Path
    model_id: str
    revision: str
    digest: str
    labels: tuple[str, ...]
    max_tokens: int
    pad_id: int
