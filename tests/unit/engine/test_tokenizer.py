import numpy as np
import pytest

from serve_app.engine.tokenizer import Tokenizer, padded, passes
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


def test_texts_become_the_tokens_that_transformers_makes_of_them(model: ModelIdentity) -> None:
    transformers = pytest.importorskip("transformers")
    texts = ["The film was GOOD", "", "  ", "unknown wörds", "it " * 200]
    expected = transformers.AutoTokenizer.from_pretrained(model.path)(
        texts, truncation=True, max_length=model.max_tokens
    )["input_ids"]
    tokens = Tokenizer(model).encode(texts)
    assert [each.ids for each in tokens] == expected
    assert [each.truncated for each in tokens] == [False, False, False, False, True]
    assert len(tokens[-1].ids) == model.max_tokens


def test_a_json_file_that_is_not_a_tokenizer_is_named(model: ModelIdentity) -> None:
    (model.path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ModelUnusable, match=r"tokenizer\.json is not a tokenizer: .*missing"):
        Tokenizer(model)
