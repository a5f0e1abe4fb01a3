"""Pretrained models and tokenizers to start from."""

from dataclasses import dataclass

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from training.conversion import distilbert_from_bert
from training.corpus import LABELS
from training.model_directory import load_tokenizer
from training.recipe import Recipe


class BaseError(ValueError):
    """The pretrained model cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """A classifier and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(source: str, recipe: Recipe) -> Base:
    """Load the model to fine-tune.

    The source's classification head is kept, unless the recipe converts the model; the recipe's
    seed determines the weights of a new head.

    Args:
        source: Directory or hub id.
        recipe: Settings; its conversion, dropout and attention are applied.

    Returns:
        The classifier and its tokenizer, which does not pad or cut by itself.

    Raises:
        BaseError: The source cannot be loaded, or does not fit the recipe.
    """
    set_seed(recipe.seed)
    try:
        tokenizer = load_tokenizer(source, recipe.max_tokens)
        model = _converted(source) if recipe.convert else _classifier(source)
    except OSError as error:
        raise BaseError(
            f"cannot load {source}: pass a model directory or hub id as --base-path "
            f"({str(error).splitlines()[0]})"
        ) from error
    if not tokenizer.is_fast:
        raise BaseError(f"{source} has no tokenizer.json: convert its tokenizer to a fast one")
    _set_dropout(model, recipe)
    model.set_attn_implementation(recipe.attention)
    return Base(model, tokenizer)


def _converted(source: str) -> PreTrainedModel:
    bert = AutoModel.from_pretrained(source)
    if not isinstance(bert, BertModel):
        raise BaseError(f"{source} is not a BERT: pass --convert false to keep its architecture")
    return distilbert_from_bert(bert)


def _classifier(source: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(
        source,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        source, config=config, dtype=torch.float32
    )
    return model


def _set_dropout(model: PreTrainedModel, recipe: Recipe) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            on_attention = name.endswith(("attention.dropout", "self.dropout"))
            module.p = recipe.attention_dropout if on_attention else recipe.dropout
