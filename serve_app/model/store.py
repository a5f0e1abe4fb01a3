"""Model store: `embedded`, a directory, or `hub-id@revision`, and the identity of each."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError, safe_open

from serve_app.console import first_line
from serve_app.errors import ModelUnusable
from serve_app.model.config import Settings, Transform, check_head, read_settings
from serve_app.settings import is_directory

EMBEDDED: Final = Path(__file__).parents[2] / "models" / "embedded"

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
# The files that transformers builds tokenizers from: its `vocab_files_names`, settings and tokens.
_SETTINGS_OF_TOKENIZER: Final = {
    TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json",
}  # fmt: skip
_TOKENIZER_FILES: Final = (
    *_SETTINGS_OF_TOKENIZER, "tokenizer*.json", "vocab.*", "merges.txt", "dict.txt",
    "*.model", "*.spm", "*.vocab", "*.tiktoken", "*.codes",
)  # fmt: skip
_HUB_FILES: Final = ["config.json", INDEX, "model*.safetensors", *_TOKENIZER_FILES]


class ModelIdentity(NamedTuple):
    """A model directory in Hugging Face form, and the identity of its content.

    Attributes:
        model_id: Name for users: `embedded`, the directory's name or the hub id.
        revision: Hub commit, or the first 12 characters of the digest.
        digest: blake2b over every file that can change a score, hexadecimal.
        labels: Label names in the order of the logits.
        max_tokens: Maximum number of tokens of a text, special tokens included.
        pad_id: Token id that fills up shorter sequences in a batch.
        transform: Function from logits to scores; sigmoids do not sum to 1.
    """

    path: Path
    model_id: str
    revision: str
    digest: str
    labels: tuple[str, ...]
    max_tokens: int
    pad_id: int
    transform: Transform = "softmax"


def digest_of(files: Iterable[Path]) -> str:
    """Return 128 bits of BLAKE2b over the names, sizes and contents of files, as hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            hashlib.file_digest(content, lambda: digest)
    return digest.hexdigest()


def resolve(source: str) -> ModelIdentity:
    """Find `embedded`, a directory in Hugging Face form, or `hub-id[@revision]`, and identify it.

    A source that exists, or starts with `.`, `/` or `~`, is a directory; others are downloaded.
    Raises `ModelUnusable` if the model is missing or incomplete, or not a sequence classifier.
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
    tokenizer = tokenizer_files(path)
    settings = settings_of(path)
    check_head(path, settings.labels, read_tensors(path))
    index = [path / INDEX] if (path / INDEX).exists() else []
    digest = digest_of([path / "config.json", *tokenizer, *index, *weight_files(path)])
    return ModelIdentity(
        path=path,
        model_id=model_id,
        revision=revision or digest[:12],
        digest=digest,
        labels=settings.labels,
        max_tokens=settings.lengths.max_tokens,
        pad_id=settings.pad_id,
        transform=settings.transform,
    )


def tokenizer_files(path: Path) -> list[Path]:
    """Return the files that the tokenizer is built from; there is at least a vocabulary."""
    files = {file for pattern in _TOKENIZER_FILES for file in path.glob(pattern) if file.is_file()}
    if not {file.name for file in files} - _SETTINGS_OF_TOKENIZER:
        raise _missing(path, "tokenizer.json, vocab.txt or sentencepiece model")
    if (path / "tokenizer.json").exists():
        read_json(path / "tokenizer.json")
    return sorted(files)


def settings_of(path: Path) -> Settings:
    """Read the settings of the classifier in a directory; see `read_settings`."""
    file = path / TOKENIZER_CONFIG
    return read_settings(
        path, read_json(path / "config.json"), read_json(file) if file.exists() else {}
    )


def weight_files(path: Path) -> list[Path]:
    """Return the files of the weights that transformers would load: one file, or shards."""
    if (path / "adapter_config.json").exists():
        raise ModelUnusable(
            f"{path} is an adapter, not a model: it has an adapter_config.json",
            "merge it with its model, merge_and_unload() and save_pretrained()",
        )
    if (path / WEIGHTS).exists():
        return [path / WEIGHTS]
    if not (path / INDEX).exists():
        raise ModelUnusable(
            f"{path} holds no *.safetensors that transformers loads: no {WEIGHTS}",
            "save the model with save_pretrained(); pickled weights are never loaded",
        )
    weight_map = read_json(path / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelUnusable(f"{path / INDEX} has no weight_map", "fetch the model again")
    files = sorted({path / Path(str(name)).name for name in weight_map.values()})
    for file in files:
        if not file.exists():
            raise ModelUnusable(f"a shard is missing: {file}", "fetch the model again")
    return files


def read_tensors(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and number format of each tensor by name, without reading its numbers."""
    tensors = {}
    for file in weight_files(path):
        try:
            with safe_open(file, framework="numpy") as content:
                for name in content.keys():  # noqa: SIM118 - not a mapping
                    tensor = content.get_slice(name)
                    tensors[name] = tuple(tensor.get_shape()), str(tensor.get_dtype())
        except (OSError, SafetensorError) as error:
            raise ModelUnusable(
                f"cannot read the weights {file}: {error}", "fetch the model again"
            ) from error
    return tensors


def _download(hub_id: str, revision: str | None) -> Path:
    # Slow to import, and most replicas find their model on disk.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    # A pattern's * also stands for the folders of checkpoints.
    folders = ["*/*"]
    try:
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=folders
            )
        )
    except (OSError, ValueError) as error:
        raise ModelUnusable(
            f"cannot get {hub_id}@{revision or 'main'} from the model hub: {first_line(error)}",
            "check the name, the revision and the network, or give a local directory",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a model."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _missing(path.parent, path.name) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnusable(f"cannot read {path}: {error}", "fetch the model again") from error
    if not isinstance(content, dict):
        raise ModelUnusable(f"{path} is not a JSON object", "fetch the model again")
    return content


def _missing(path: Path, name: str) -> ModelUnusable:
    return ModelUnusable(
        f"{path} holds no {name}",
        "a model directory needs config.json, a tokenizer and *.safetensors",
    )
