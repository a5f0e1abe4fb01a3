"""Pretrained models and tokenizers to start from."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import torch
from huggingface_hub import constants
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from serve_app.console import first_line
from serve_app.engine.checkpoint import misfits
from serve_app.model.store import EMBEDDED as EMBEDDED_PATH
from training.conversion import distilbert_from_bert
from training.model_directory import load_tokenizer
from training.recipe import EMBEDDED, Recipe

HUB_TIMEOUT_S = 10

LOADING: Final[dict[str, Any]] = {
    "ignore_mismatched_sizes": True,
    "output_loading_info": True,
    "trust_remote_code": False,
}


class BaseError(ValueError):
    """The pretrained model cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """A classifier and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(source: str, recipe: Recipe) -> Base:
    """Load the model to fine-tune.

    The source's classification head is kept where it has as many labels, unless the recipe
    converts the model; the recipe's seed determines the weights of a new head.

    Args:
        source: Directory, hub id, or ``embedded``.
        recipe: Settings; its conversion, dropout and attention are applied.

    Returns:
        The classifier and its tokenizer, which does not pad or cut by itself.

    Raises:
        BaseError: The source cannot be loaded, lacks weights, or does not fit the recipe.
    """
    set_seed(recipe.seed)
    if source == EMBEDDED:
        source = str(EMBEDDED_PATH)
    # Each file that is not in the hub's cache would be asked for six times, half a minute.
    offline = Path(source).is_dir() or not _hub_answers()
    try:
        tokenizer = load_tokenizer(source, recipe.max_tokens, offline=offline)
        model = (
            _converted(source, recipe, offline)
            if recipe.convert
            else _classifier(source, recipe, offline)
        )
    except BaseError:
        raise
    except Exception as error:  # transformers raises whatever its parts do
        reason = first_line(error)
        if offline and not Path(source).is_dir():
            reason = f"{constants.ENDPOINT} does not answer, and its cache on this machine lacks it"
        raise BaseError(
            f"cannot load {source}: pass a model directory, a hub id or embedded as --base-path "
            f"({reason})"
        ) from error
    if not tokenizer.is_fast:
        raise BaseError(f"{source} has no tokenizer.json: convert its tokenizer to a fast one")
    _set_dropout(model, recipe)
    model.set_attn_implementation(recipe.attention)
    return Base(model, tokenizer)


def _hub_answers() -> bool:
    try:
        httpx2.head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except httpx2.HTTPError:
        return False
    return not constants.HF_HUB_OFFLINE


def _converted(source: str, recipe: Recipe, offline: bool) -> PreTrainedModel:
    bert, report = AutoModel.from_pretrained(source, local_files_only=offline, **LOADING)
    if not isinstance(bert, BertModel):
        raise BaseError(f"{source} is not a BERT: pass --convert false to keep its architecture")
    # Neither the pooler nor another head is converted.
    missing = {name for name in report["missing_keys"] if not name.startswith("pooler.")}
    _check_body(source, bert, report | {"missing_keys": missing, "unexpected_keys": ()})
    return distilbert_from_bert(bert, recipe.label_names)


def _classifier(source: str, recipe: Recipe, offline: bool) -> PreTrainedModel:
    labels = recipe.label_names
    config = AutoConfig.from_pretrained(
        source,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="single_label_classification",
        trust_remote_code=False,
        local_files_only=offline,
    )
    loaded, report = AutoModelForSequenceClassification.from_pretrained(
        source, config=config, dtype=torch.float32, local_files_only=offline, **LOADING
    )
    model: PreTrainedModel = loaded
    body = f"{model.base_model_prefix}."
    # A head that is missing, or has another number of labels, is a new one.
    of_body = {
        "missing_keys": {name for name in report["missing_keys"] if name.startswith(body)},
        "unexpected_keys": {name for name in report["unexpected_keys"] if name.startswith(body)},
        "mismatched_keys": {key for key in report["mismatched_keys"] if key[0].startswith(body)},
    }
    _check_body(source, model, report | of_body)
    if report["mismatched_keys"]:
        print(
            f"the base has another number of labels than {len(labels)}: its head is replaced",
            file=sys.stderr,
        )
    return model


def _check_body(source: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    if problem := misfits(model, report):
        raise BaseError(f"the weights of {source} do not fit its config.json: {problem}")


def _set_dropout(model: PreTrainedModel, recipe: Recipe) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            on_attention = name.endswith(("attention.dropout", "self.dropout"))
            module.p = recipe.attention_dropout if on_attention else recipe.dropout
