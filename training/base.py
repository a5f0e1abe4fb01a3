"""Pretrained models and tokenizers to start from."""

import sys
from dataclasses import dataclass
from pathlib import Path

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

from serve_app.model.store import EMBEDDED as EMBEDDED_PATH
from training.conversion import distilbert_from_bert
from training.model_directory import load_tokenizer
from training.recipe import EMBEDDED, Recipe

HUB_TIMEOUT_S = 10


class BaseError(ValueError):
    """The pretrained model cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """A classifier and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(source: str, recipe: Recipe) -> Base:
    """Load the model to fine-tune.

    The source's classification head is kept, unless the recipe converts the model or has another
    number of labels; the recipe's seed determines the weights of a new head.

    Args:
        source: Directory, hub id, or ``embedded``.
        recipe: Settings; its conversion, dropout and attention are applied.

    Returns:
        The classifier and its tokenizer, which does not pad or cut by itself.

    Raises:
        BaseError: The source cannot be loaded, or does not fit the recipe.
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
    except OSError as error:
        reason = str(error).splitlines()[0]
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
    bert = AutoModel.from_pretrained(source, local_files_only=offline)
    if not isinstance(bert, BertModel):
        raise BaseError(f"{source} is not a BERT: pass --convert false to keep its architecture")
    return distilbert_from_bert(bert, recipe.label_names)


def _classifier(source: str, recipe: Recipe, offline: bool) -> PreTrainedModel:
    labels = recipe.label_names
    config = AutoConfig.from_pretrained(source, local_files_only=offline)
    other_head = config.num_labels != len(labels)
    if other_head:
        print(
            f"the base has {config.num_labels} labels, not {len(labels)}: its head is replaced",
            file=sys.stderr,
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = None
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        ignore_mismatched_sizes=other_head,
        local_files_only=offline,
    )
    return model


def _set_dropout(model: PreTrainedModel, recipe: Recipe) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            on_attention = name.endswith(("attention.dropout", "self.dropout"))
            module.p = recipe.attention_dropout if on_attention else recipe.dropout
