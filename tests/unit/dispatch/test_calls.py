from hypothesis import given
from hypothesis import strategies as st

from serve_app.dispatch.calls import chunks

CHARS = 40


def numbered(*texts: str) -> dict[bytes, str]:
    return {f"{number}".encode(): text for number, text in enumerate(texts)}


def sizes(*texts: str, max_texts: int = 16, min_chunks: int = 1) -> list[int]:
    return [
        len(chunk.texts_by_key) for chunk in chunks(numbered(*texts), max_texts, CHARS, min_chunks)
    ]


def test_one_large_request_is_spread_evenly() -> None:
    assert sizes(*"a" * 17) == [8, 9]


def test_what_fits_exactly_is_one_full_chunk() -> None:
    (chunk,) = chunks(numbered(*"a" * 10), 10, CHARS)
    assert (len(chunk.texts_by_key), round(chunk.filled, 9)) == (10, 1.0)


def test_nothing_makes_no_chunk() -> None:
    assert sizes() == []


def test_long_texts_fill_a_chunk_before_it_has_its_number() -> None:
    assert sizes(*["a" * 20] * 6) == [2, 2, 2]


def test_a_text_longer_than_a_chunk_travels_alone() -> None:
    assert sizes("a" * 1000, "b", "c", "d" * 1000) == [1, 2, 1]


def test_a_small_request_is_spread_when_asked() -> None:
    assert sizes(*"a" * 8, min_chunks=2) == [4, 4]
    assert sizes("a", "b", min_chunks=5) == [1, 1]


@given(st.lists(st.text(max_size=60)), st.integers(1, 20), st.integers(1, 5))
def test_chunks_keep_every_text_in_order_and_their_bounds(
    texts: list[str], max_texts: int, min_chunks: int
) -> None:
    split = chunks(numbered(*texts), max_texts, CHARS, min_chunks)
    assert [text for chunk in split for text in chunk.texts_by_key.values()] == texts
    for chunk in split:
        assert 0 < len(chunk.texts_by_key) <= max_texts
        assert (
            len(chunk.texts_by_key) == 1 or sum(map(len, chunk.texts_by_key.values())) < 2 * CHARS
        )
