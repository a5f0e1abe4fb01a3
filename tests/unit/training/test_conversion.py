import pytest

pytest.importorskip("torch")

import torch
from transformers import BertConfig, BertModel

from training.conversion import distilbert_from_bert


def test_hidden_states_agree_with_bert(bert: BertModel) -> None:
    ids = torch.randint(5, bert.config.vocab_size, (3, 11), generator=torch.manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    distilbert = distilbert_from_bert(bert).distilbert.eval()

    with torch.no_grad():
        expected = bert(ids, attention_mask=mask).last_hidden_state
        actual = distilbert(ids, attention_mask=mask).last_hidden_state

    visible = mask.bool()
    torch.testing.assert_close(actual[visible], expected[visible], atol=1e-5, rtol=0)


def test_bert_itself_is_left_as_it_was(bert: BertModel) -> None:
    before = bert.embeddings.position_embeddings.weight.clone()
    distilbert_from_bert(bert)
    assert torch.equal(bert.embeddings.position_embeddings.weight, before)


def test_labels_are_named(bert: BertModel) -> None:
    config = distilbert_from_bert(bert).config
    assert config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert config.label2id == {"NEGATIVE": 0, "POSITIVE": 1}


def test_another_layer_norm_epsilon_is_refused() -> None:
    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, layer_norm_eps=1e-5
    )
    with pytest.raises(ValueError, match="layer_norm_eps"):
        distilbert_from_bert(BertModel(config))
