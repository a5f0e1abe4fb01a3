import numpy as np
import pytest

from serve_app.engine.engine import padded, passes
from serve_app.engine.load import load
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.model.store import ModelIdentity


def test_sequences_are_padded_on_the_right() -> None:
    ids, mask = padded([[5, 6, 7], [8]], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([3], [1]), ([512] * 16, [16]), ([512] * 17, [16, 1]), ([4096, 8, 8], [1, 1, 1])],
)
def test_attention_over_a_pass_is_bounded(lengths: list[int], sizes: list[int]) -> None:
    texts = [[number] * length for number, length in enumerate(lengths)]
    parts = [list(part) for part in passes(texts)]
    assert [len(part) for part in parts] == sizes
    assert [text for part in parts for text in part] == texts


def test_a_batch_in_parts_has_the_logits_of_each_text(
    model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    engine = load(model, "torch", threads=1)
    texts = [[2, word, 3] for word in range(5, 12)]
    together = engine.logits(texts)
    monkeypatch.setattr("serve_app.engine.engine.MAX_PAIRS", 20)
    assert engine.logits(texts) == pytest.approx(together, abs=1e-6)


def test_texts_become_the_tokens_that_transformers_makes_of_them(model: ModelIdentity) -> None:
    transformers = pytest.importorskip("transformers")
    texts = ["The film was GOOD", "", "  ", "unknown wörds", "it " * 200]
    expected = transformers.AutoTokenizer.from_pretrained(model.path)(
        texts, truncation=True, max_length=model.max_tokens
    )["input_ids"]
    tokens = Tokenizer(model).encode(texts)
    assert [text.ids for text in tokens] == expected
    assert [text.truncated for text in tokens] == [False, False, False, False, True]
    assert len(tokens[-1].ids) == model.max_tokens


def test_a_file_that_is_json_but_no_tokenizer_is_named(model: ModelIdentity) -> None:
    (model.path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ModelUnusable, match=r"tokenizer\.json is no tokenizer: .*missing"):
        Tokenizer(model)


def test_torch_scores_do_not_depend_on_padding(model: ModelIdentity) -> None:
    pytest.importorskip("torch")
    engine = load(model, "torch", threads=1)
    alone = engine.logits([[2, 5, 3]])
    assert engine.logits([[2, 5, 3], [2, *[6] * 40, 3]])[:1] == pytest.approx(alone, abs=1e-5)


def test_a_model_that_was_not_prepared_says_how_to_prepare_it(
    model: ModelIdentity, cache_dir: object
) -> None:
    with pytest.raises(ModelUnusable, match="sentiment model prepare"):
        load(model, "onnx-int8", threads=1)
