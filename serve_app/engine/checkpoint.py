"""Checkpoints in Hugging Face form, as transformers loads them, checked.

Needs the extra `torch`, so that a replica that serves an ONNX file does not import it.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer as FastTokenizer
from transformers import (
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from serve_app.console import first_line
from serve_app.errors import ModelUnusable
from serve_app.model.parity import odd_texts, verification_texts
from serve_app.model.store import ModelIdentity

_NAMED: Final = 4
# Only the files in the directory, and never code that comes with them.
OFFLINE: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False}


def load_classifier(path: Path, **options: Any) -> PreTrainedModel:
    """Load a classifier with all of its weights, with further arguments of `from_pretrained`.

    Raises `ModelUnusable` if it cannot be loaded, or weights are missing, left over or misshapen.
    """
    transformers_logging.disable_progress_bar()
    level = transformers_logging.get_verbosity()
    # Its table of weights that do not fit is the error below.
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            str(path),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **OFFLINE,
            **options,
        )
    except Exception as error:  # transformers raises whatever its parts do
        raise ModelUnusable(
            f"cannot load {path}: {first_line(error)}",
            "give a model that transformers loads without code of its own, or fetch it again",
        ) from error
    finally:
        transformers_logging.set_verbosity(level)
    if problem := misfits(model, report):
        raise ModelUnusable(
            f"the weights in {path} do not fit its config.json: {problem}",
            "save the model again with save_pretrained(), or correct config.json",
        )
    classifier: PreTrainedModel = model
    return classifier


def misfits(model: PreTrainedModel, report: dict[str, Any]) -> str:
    """Return what a loading report says of weights that do not fit; empty where all do.

    Left-over weights are no misfit where they belong to another head of the architecture, such as
    the pooler that RoBERTa's classifier does without.
    """
    unexpected, misshapen = report["unexpected_keys"], report["mismatched_keys"]
    groups = {
        "missing": report["missing_keys"],
        "left over": unexpected and set(unexpected) - _other_heads(model),
        "misshapen": {f"{name} {list(a)} instead of {list(b)}" for name, a, b in misshapen},
        "unreadable": report["error_msgs"],
    }
    return "; ".join(f"{kind} {_names(set(names))}" for kind, names in groups.items() if names)


def _other_heads(model: PreTrainedModel) -> set[str]:
    prefix = f"{model.base_model_prefix}."
    names: set[str] = set()
    for auto in (AutoModel, AutoModelForPreTraining):
        with suppress(Exception), torch.device("meta"):
            other: Any = auto.from_config(model.config, trust_remote_code=False)  # type: ignore[no-untyped-call]
            names |= {prefix + key if auto is AutoModel else key for key in other.state_dict()}
    return names | {f"{prefix}embeddings.{name}_ids" for name in ("position", "token_type")}


def _names(names: set[str]) -> str:
    shown = sorted(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def load_tokenizer(model: ModelIdentity) -> FastTokenizer:
    """Build the tokenizer that transformers builds, which cuts texts to the tokens of the model.

    Raises `ModelUnusable` if transformers cannot build it, or it gives other token ids.
    """
    try:
        reference = AutoTokenizer.from_pretrained(str(model.path), **OFFLINE)
    except Exception as error:  # transformers raises whatever its parts do
        raise ModelUnusable(
            f"cannot load the tokenizer of {model.path}: {first_line(error)}",
            "save it with save_pretrained() of a fast tokenizer, in a file tokenizer.json",
        ) from error
    kind, hint = type(reference).__name__, "give a model with a fast tokenizer"
    if not reference.is_fast:
        raise ModelUnusable(f"the tokenizer {kind} of {model.path} has no fast form", hint)
    if reference.split_special_tokens:
        raise ModelUnusable(
            f"split_special_tokens in the tokenizer of {model.path} cannot be served",
            "set it to false in tokenizer_config.json",
        )
    tokenizer = FastTokenizer.from_str(reference.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_tokens, direction=reference.truncation_side)
    texts = [*verification_texts(), *odd_texts(list(tokenizer.get_added_tokens_decoder().values()))]
    expected = reference(texts, truncation=True, max_length=model.max_tokens)["input_ids"]
    for text, ids, encoding in zip(texts, expected, tokenizer.encode_batch(texts), strict=True):
        if ids != encoding.ids:
            raise ModelUnusable(
                f"the tokenizer {kind} of {model.path} does more than its tokenizer.json: "
                f"other token ids for {text[:40]!r}",
                hint,
            )
    return tokenizer
