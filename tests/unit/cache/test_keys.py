import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.cache.score_cache import KeySpace
from serve_app.settings import EngineName

DIGEST = "d" * 64
engines: st.SearchStrategy[EngineName] = st.sampled_from(["onnx-int8", "onnx-fp32", "torch"])
texts = st.text(st.characters(codec="utf-8"))


def test_the_key_of_a_text_does_not_change_between_releases() -> None:
    key = KeySpace(DIGEST, "onnx-int8").key("a good film")
    prefix = f"sentiment:1:{DIGEST}:onnx-int8:".encode()
    assert key == prefix + bytes.fromhex("c66c614c0c589839d36c8e03e7b76e1e")


@given(st.tuples(st.text(st.characters(codec="utf-8")), engines, texts), st.data())
def test_no_two_of_model_engine_and_text_share_a_key(
    first: tuple[str, EngineName, str], data: st.DataObject
) -> None:
    second = data.draw(
        st.tuples(
            st.one_of(st.just(first[0]), st.text(st.characters(codec="utf-8"))),
            st.one_of(st.just(first[1]), engines),
            st.one_of(st.just(first[2]), texts),
        )
    )
    keys = [KeySpace(digest, engine).key(text) for digest, engine, text in (first, second)]
    assert (keys[0] == keys[1]) == (first == second)


def test_texts_are_not_normalized() -> None:
    keys = KeySpace(DIGEST, "torch")
    assert len({keys.key(text) for text in ("Good", "good", "good ", "", " ")}) == 5


def test_a_lone_surrogate_has_no_key() -> None:
    with pytest.raises(UnicodeEncodeError):
        KeySpace(DIGEST, "torch").key("\ud800")
