from hypothesis import given
from hypothesis import strategies as st

from serve_app.fanout.chunks import chunks


def test_one_large_request_is_spread_evenly() -> None:
    assert [len(chunk) for chunk in chunks(range(17), 16)] == [8, 9]


def test_nothing_makes_no_chunk() -> None:
    assert chunks([], 4) == []


@given(st.lists(st.integers()), st.integers(1, 20))
def test_chunks_keep_every_item_in_order(items: list[int], most: int) -> None:
    split = chunks(items, most)
    assert [item for chunk in split for item in chunk] == items
    assert all(0 < len(chunk) <= most for chunk in split)
    assert len(split) == -(-len(items) // most)
