"""Families of models: the longest text, one token more, and ten times as long."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.model.store import resolve
from tests.conftest import WORDS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.slow

POSITIONS = 40
SMALL: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 16, "dim": 16, "d_model": 16, "n_embd": 16, "emb_dim": 16,
    "embedding_size": 16, "num_hidden_layers": 1, "n_layers": 1, "n_layer": 1, "encoder_layers": 1,
    "decoder_layers": 1, "num_attention_heads": 2, "n_heads": 2, "n_head": 2,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 16, "hidden_dim": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
    "ffn_dim": 16, "word_embed_proj_dim": 16, "head_dim": 8, "entity_vocab_size": 4,
    "entity_emb_size": 4, "max_position_embeddings": POSITIONS, "n_positions": POSITIONS,
}  # fmt: skip
FAMILIES = {
    "albert": 0, "bart": 0, "bert": 0, "big_bird": 0, "camembert": 2, "convbert": 0,
    "data2vec-text": 2, "deberta": 0, "deberta-v2": 0, "distilbert": 0, "electra": 0, "ernie": 0,
    "esm": 2, "flaubert": 0, "fnet": 0, "gpt2": 0, "ibert": 2, "llama": 0, "longformer": 2,
    "luke": 2, "modernbert": 0, "mpnet": 2, "nystromformer": 0, "opt": 0, "rembert": 0,
    "roberta": 2, "roberta-prelayernorm": 2, "roformer": 0, "xlm": 0, "xlm-roberta": 2,
    "xlm-roberta-xl": 2,
}  # fmt: skip
"""Positions that a family does not use."""


def write_model(directory: Path, family: str) -> None:
    torch.manual_seed(0)
    kind = type(transformers.AutoConfig.for_model(family))
    settings = {name: value for name, value in SMALL.items() if hasattr(kind(), name)}
    special: dict[str, int | None] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    if family in ("gpt2", "llama"):
        special["pad_token_id"] = None
    config = kind(**settings, **special, num_labels=3, initializer_range=0.3)
    auto = transformers.AutoModelForSequenceClassification
    auto.from_config(config).save_pretrained(directory)
    from tokenizers import Tokenizer as Fast  # noqa: PLC0415
    from tokenizers import models, pre_tokenizers, processors  # noqa: PLC0415

    names = ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    words = Fast(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>"
    ).save_pretrained(directory)
    # The class is the model's own where this is left out, which would build another tokenizer.
    file = directory / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 1000}))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_of_the_most_tokens_and_longer_ones_are_scored_like_by_transformers(
    tmp_path: Path, family: str
) -> None:
    write_model(tmp_path, family)
    model = resolve(str(tmp_path))
    assert model.max_tokens == POSITIONS - FAMILIES[family]
    words = model.max_tokens - 2
    texts = ["good " * words, "good " * (words + 1), "bad " * words * 10, "the film", ""]
    tokens = Tokenizer(model).encode(texts)
    assert [len(each.ids) for each in tokens] == [model.max_tokens] * 3 + [4, 2]
    assert [each.truncated for each in tokens] == [False, True, True, False, False]
    logits = load_engine(model, "torch", threads=1).logits([each.ids for each in tokens])
    auto = transformers.AutoModelForSequenceClassification
    classifier = auto.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = np.vstack([classifier(torch.tensor([each.ids])).logits for each in tokens])
    assert logits == pytest.approx(expected, abs=1e-3)
