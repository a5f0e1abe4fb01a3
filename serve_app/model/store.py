"""Model store: `embedded`, a directory, or `hub-id@revision`, and the identity of each."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError, safe_open

from serve_app.errors import ModelUnusable
from serve_app.settings import is_directory

EMBEDDED: Final = Path(__file__).parents[2] / "models" / "embedded"

_HUB_FILES: Final = ["config.json", "tokenizer.json", "tokenizer_config.json", "*.safetensors"]
_BLOCK_BYTES: Final = 1024 * 1024


class ModelIdentity(NamedTuple):
    """A model directory and the identity of its content.

    Attributes:
        path: Directory in Hugging Face form.
        model_id: Name for users: `embedded`, the directory's name or the hub id.
        revision: Hub commit, or the first 12 characters of the digest.
        digest: blake2b over configuration, tokenizer and weights, hexadecimal.
        labels: Label names in the order of the logits.
        max_tokens: Maximum number of tokens of a text, special tokens included.
        pad_id: Token id that fills up shorter sequences in a batch.
    """

    path: Path
    model_id: str
    revision: str
    digest: str
    labels: tuple[str, ...]
    max_tokens: int
    pad_id: int


def digest_of(files: Iterable[Path]) -> str:
    """Return 128 bits of BLAKE2b over the names, sizes and contents of files, as hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def resolve(source: str) -> ModelIdentity:
    """Find a model, download it if it is on the hub, and read its identity.

    Args:
        source: `embedded`, a directory in Hugging Face form, or `hub-id[@revision]`. A source
            that starts with `.`, `/` or `~` is a directory.

    Raises:
        ModelUnusable: The model is missing or incomplete, or not a sequence classifier.
    """
    if source == "embedded":
        if not EMBEDDED.is_dir():
            raise ModelUnusable(
                "the embedded model comes with a checkout, and this is an installed package",
                "give a directory in Hugging Face form or hub-id@revision; "
                "an image names its own model in $SENTIMENT_MODEL",
            )
        return _read_identity(EMBEDDED, model_id="embedded")
    if is_directory(source):
        path = Path(source).expanduser().resolve()
        return _read_identity(path, model_id=path.name)
    hub_id, _, revision = source.partition("@")
    path = _download(hub_id, revision or None)
    # The hub client names a snapshot's directory by its commit.
    return _read_identity(path, model_id=hub_id, revision=path.name)


def _read_identity(path: Path, *, model_id: str, revision: str = "") -> ModelIdentity:
    if not path.is_dir():
        raise ModelUnusable(
            f"no model directory at {path}",
            "give `embedded`, a directory in Hugging Face form, or hub-id@revision",
        )
    config = _read_json(path / "config.json")
    _read_json(path / "tokenizer.json")
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise ModelUnusable(
            f"{path} holds no *.safetensors",
            "save the model with save_pretrained(); pickled weights are never loaded",
        )
    for file in weights:
        try:
            safe_open(file, framework="numpy")
        except SafetensorError as error:
            raise ModelUnusable(
                f"cannot read the weights {file}: {error}", "fetch the model again"
            ) from error
    digest = digest_of([path / "config.json", path / "tokenizer.json", *weights])
    return ModelIdentity(
        path=path,
        model_id=model_id,
        revision=revision or digest[:12],
        digest=digest,
        labels=_labels(path, config),
        max_tokens=_max_tokens(path, config),
        pad_id=int(config.get("pad_token_id") or 0),
    )


def _download(hub_id: str, revision: str | None) -> Path:
    # Slow to import, and most replicas find their model on disk.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnusable(
            f"cannot get {hub_id}@{revision or 'main'} from the model hub: {reason}",
            "check the name, the revision and the network, or give a local directory",
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelUnusable(
            f"{path.parent} holds no {path.name}",
            "a model directory needs config.json, tokenizer.json and *.safetensors",
        ) from None
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"cannot read {path}: {error}", "fetch the model again") from error
    if not isinstance(content, dict):
        raise ModelUnusable(f"{path} is not a JSON object", "fetch the model again")
    return content


def _labels(path: Path, config: dict[str, Any]) -> tuple[str, ...]:
    architecture = str((config.get("architectures") or ["no architecture"])[0])
    if not architecture.endswith("ForSequenceClassification"):
        raise ModelUnusable(
            f"{path} is not a sequence classifier: config.json names {architecture}",
            "give a model whose config.json names a …ForSequenceClassification architecture",
        )
    # transformers leaves id2label out of config.json where it is the default of two labels.
    id2label = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    numbers = [str(number) for number in range(max(2, len(id2label)))]
    if set(id2label) != set(numbers):
        raise ModelUnusable(
            f"id2label in {path}/config.json does not number two or more labels from 0 on",
            "set id2label and label2id in config.json",
        )
    return tuple(str(id2label[number]) for number in numbers)


def _max_tokens(path: Path, config: dict[str, Any]) -> int:
    """Return how many tokens the model reads.

    RoBERTa-like models number positions from `pad_token_id + 1`, so that many are lost:
    https://github.com/facebookresearch/fairseq/issues/1187.
    """
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        raise ModelUnusable(
            f"{path}/config.json does not state max_position_embeddings",
            "give a model with absolute position embeddings: they limit the length of a text",
        )
    if "roberta" in str(config.get("model_type")):
        positions -= int(config.get("pad_token_id") or 0) + 1
    file = path / "tokenizer_config.json"
    stated = _read_json(file).get("model_max_length") if file.exists() else None
    return min(positions, int(stated)) if isinstance(stated, int | float) else positions
