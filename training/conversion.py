"""Exact conversion of a BERT encoder into a DistilBERT sequence classifier.

DistilBERT is BERT without token types and without the pooler
(https://arxiv.org/abs/1910.01108). A text classifier only ever uses token type 0, so adding
that type's embedding to every position embedding leaves the hidden states as they were.

Run as ``python -m training.conversion BERT OUTPUT``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from transformers import (
    AutoModel,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from training.model_directory import load_tokenizer, save_tokenizer
from training.recipe import LABELS

_EMBEDDINGS = {
    "word_embeddings": "word_embeddings",
    "position_embeddings": "position_embeddings",
    "LayerNorm": "LayerNorm",
}
_LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def distilbert_from_bert(
    bert: BertModel, labels: Sequence[str] = LABELS
) -> DistilBertForSequenceClassification:
    """Build a DistilBERT classifier whose encoder computes what the BERT encoder computes.

    Args:
        bert: Encoder with absolute positions; its pooler is left behind.
        labels: Names of the labels.

    Returns:
        A classifier with a newly initialized head.

    Raises:
        ValueError: DistilBERT has no counterpart for a setting of the encoder.
    """
    model = DistilBertForSequenceClassification(_config(bert, labels))
    missing, unexpected = model.distilbert.load_state_dict(_weights(bert), strict=False)
    if missing or unexpected:
        raise ValueError(f"no DistilBERT counterpart for {sorted({*missing, *unexpected})}")
    return model


def _config(bert: BertModel, labels: Sequence[str]) -> DistilBertConfig:
    source = bert.config
    if source.layer_norm_eps != 1e-12:  # noqa: PLR2004
        raise ValueError("DistilBERT fixes layer_norm_eps to 1e-12; convert another encoder")
    return DistilBertConfig(
        vocab_size=source.vocab_size,
        max_position_embeddings=source.max_position_embeddings,
        n_layers=source.num_hidden_layers,
        n_heads=source.num_attention_heads,
        dim=source.hidden_size,
        hidden_dim=source.intermediate_size,
        activation=source.hidden_act,
        pad_token_id=source.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )


def _weights(bert: BertModel) -> dict[str, Tensor]:
    source = bert.state_dict()
    names = {f"embeddings.{old}": f"embeddings.{new}" for old, new in _EMBEDDINGS.items()} | {
        f"encoder.layer.{layer}.{old}": f"transformer.layer.{layer}.{new}"
        for layer in range(bert.config.num_hidden_layers)
        for old, new in _LAYER.items()
    }
    weights = {
        f"{new}.{kind}": source[f"{old}.{kind}"]
        for old, new in names.items()
        for kind in ("weight", "bias")
        if f"{old}.{kind}" in source
    }
    token_type = source["embeddings.token_type_embeddings.weight"][0]
    weights["embeddings.position_embeddings.weight"] = (
        weights["embeddings.position_embeddings.weight"] + token_type
    )
    return weights


def main() -> None:
    """Convert the encoder and tokenizer given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.conversion", description=__doc__)
    parser.add_argument("bert", help="directory or hub id of the BERT encoder")
    parser.add_argument("output", type=Path, help="directory for the DistilBERT classifier")
    arguments = parser.parse_args()
    bert = AutoModel.from_pretrained(arguments.bert, trust_remote_code=False)
    if not isinstance(bert, BertModel):
        parser.error(f"{arguments.bert} is a {type(bert).__name__}: pass a BERT encoder")
    distilbert_from_bert(bert).save_pretrained(arguments.output)
    tokenizer = load_tokenizer(arguments.bert, bert.config.max_position_embeddings)
    save_tokenizer(tokenizer, arguments.output)


if __name__ == "__main__":
    main()
