"""What config.json and tokenizer_config.json say of a classifier: labels, scores, lengths."""

import re
from math import isqrt
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, NoReturn

from serve_app.errors import ModelUnusable

Transform = Literal["softmax", "sigmoid"]
Json = dict[str, Any]

_TRANSFORMS: Final[dict[Any, Transform]] = {
    None: "softmax",
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}
_MAX_LABELS: Final = 65_535

# Their positions begin after `pad_token_id`, so that pad_token_id + 1 positions are never used:
# https://github.com/facebookresearch/fairseq/issues/1187. The tests compare them with transformers.
_POSITIONS_AFTER_PADDING: Final = frozenset(
    {
        "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke",
        "markuplm", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
        "xmod",
    }
)  # fmt: skip
_HEAD: Final = re.compile(r"(.*\.)?(classifier|score|classification_head|logits_proj)(\..*)?weight")
_POSITIONS: Final = ("max_position_embeddings", "n_positions")
_HEADS: Final = ("num_attention_heads", "n_heads", "n_head", "num_heads")
_DEFAULT_HEADS: Final = 16
# Larger ones mean "no limit" in tokenizer_config.json.
_MAX_LENGTH: Final = 1_000_000
_MIN_LENGTH: Final = 3
_MAX_ID: Final = 2**31

MAX_ATTENTION_BYTES: Final = 2**30
"""Memory for the attention scores of one text in one layer; longer texts are cut off there."""
# Scores of one head, float32, before and after the mask and the softmax, as ONNX Runtime and eager
# torch hold them at the same time.
_BYTES_PER_SCORE: Final = 4 * 4


class Lengths(NamedTuple):
    """Limits of a text's tokens, special ones included."""

    positions: int
    tokenizer: int | None
    memory: int

    @property
    def max_tokens(self) -> int:
        """The smallest limit."""
        return min(length for length in self if length is not None)

    @property
    def explained(self) -> str:
        """What limits the length of a text, in words."""
        return (
            f"the model has positions for {self.positions}, its tokenizer's "
            f"model_max_length is {self.tokenizer or 'not set'}, and attention over "
            f"{self.memory} takes {MAX_ATTENTION_BYTES >> 20} MiB"
        )


class Settings(NamedTuple):
    """The settings of a classifier that its answers follow from; see `ModelIdentity`."""

    architecture: str
    labels: tuple[str, ...]
    transform: Transform
    lengths: Lengths
    pad_id: int


def read_settings(path: Path, config: Json, tokenizer_config: Json) -> Settings:
    """Read the settings; refuse what is no classifier, and settings that contradict others."""
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else "no architecture"
    if not architecture.endswith("ForSequenceClassification"):
        raise ModelUnusable(
            f"{path} is not a sequence classifier: config.json names {architecture}",
            "give a model whose config.json names a …ForSequenceClassification architecture",
        )
    kind = config.get("problem_type")
    if not isinstance(kind, str | None) or kind not in _TRANSFORMS:
        _refuse(path, f"problem_type is {kind!r}", "give a classifier with two or more labels")
    lengths = _lengths(path, config, tokenizer_config)
    labels = _labels(path, config)
    return Settings(architecture, labels, _TRANSFORMS[kind], lengths, _pad_id(config))


def _labels(path: Path, config: Json) -> tuple[str, ...]:
    # transformers leaves id2label out of config.json where it is the default of two labels.
    id2label, count = config.get("id2label"), config.get("num_labels")
    if id2label is None:
        count = 2 if count is None else count
        made = min(count, _MAX_LABELS + 1) if isinstance(count, int) else 0
        id2label = {str(n): f"LABEL_{n}" for n in range(made)}
    hint = 'set id2label to {"0": "…", "1": "…"}, one name for each row of the head'
    if not isinstance(id2label, dict):
        _refuse(path, f"id2label is a {type(id2label).__name__}", hint)
    numbers = [str(number) for number in range(len(id2label))]
    if set(id2label) != set(numbers) or not 1 < len(numbers) <= _MAX_LABELS:
        _refuse(path, "id2label does not number two or more labels from 0 on", hint)
    if count not in (None, len(numbers)):
        _refuse(path, f"num_labels is {count}, and id2label has {len(numbers)}", hint)
    labels = tuple(str(id2label[number]) for number in numbers)
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        _refuse(path, f"id2label has the name {twice!r} twice", hint)
    return labels


def _lengths(path: Path, config: Json, tokenizer_config: Json) -> Lengths:
    positions = _first(config, *_POSITIONS)
    if positions is None:
        _refuse(path, "it does not state max_position_embeddings", "give another model")
    if str(config.get("model_type")) in _POSITIONS_AFTER_PADDING:
        pad = config.get("pad_token_id", 1)
        positions -= (pad if isinstance(pad, int) else 0) + 1
    stated = tokenizer_config.get("model_max_length")
    if not isinstance(stated, int | float | None) or isinstance(stated, bool):
        _refuse(path, f"model_max_length of the tokenizer is {stated!r}", "write a number")
    tokenizer = int(stated) if stated is not None and abs(stated) <= _MAX_LENGTH else None
    heads = _first(config, *_HEADS) or _DEFAULT_HEADS
    memory = isqrt(MAX_ATTENTION_BYTES // (max(1, heads) * _BYTES_PER_SCORE))
    lengths = Lengths(positions, tokenizer, memory)
    if lengths.max_tokens < _MIN_LENGTH:
        _refuse(path, f"the model reads {lengths.max_tokens} tokens", "correct model_max_length")
    return lengths


def _pad_id(config: Json) -> int:
    """Return the token that fills up shorter texts, and stands for a text without tokens."""
    found = _first(config, "pad_token_id", "eos_token_id", "bos_token_id")
    return found if found is not None and 0 <= found < _MAX_ID else 0


def _first(config: Json, *names: str) -> int | None:
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), None)


def head(tensors: dict[str, tuple[tuple[int, ...], str]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the matrices that are a classification head by their names."""
    return {n: shape for n, (shape, _) in tensors.items() if len(shape) > 1 and _HEAD.fullmatch(n)}


def check_head(
    path: Path, labels: tuple[str, ...], tensors: dict[str, tuple[tuple[int, ...], str]]
) -> None:
    """Refuse a head, where it is known by its name, in which no matrix has a row for each label."""
    shapes = head(tensors)
    if shapes and all(shape[0] != len(labels) for shape in shapes.values()):
        found = ", ".join(f"{name} has {shape[0]} rows" for name, shape in shapes.items())
        _refuse(path, f"there are {len(labels)} labels, but {found}", "correct id2label")


def _refuse(path: Path, problem: str, hint: str) -> NoReturn:
    raise ModelUnusable(f"{path}/config.json cannot be served: {problem}", hint)
