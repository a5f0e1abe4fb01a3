from hypothesis import given
from hypothesis import strategies as st

from serve_app.classifier.scheduler import PADDING_SHARE, PADDING_TOKENS, companions

lengths_of_texts = st.lists(st.integers(2, 512), min_size=1, max_size=64)


def test_texts_of_like_length_go_together() -> None:
    assert companions([20, 21, 300, 19, 310], 1024) == [0, 1, 3]


def test_the_longest_waiting_text_is_always_chosen_even_above_the_budget() -> None:
    assert companions([512, 500], 100) == [0]


def test_the_budget_counts_padding() -> None:
    assert companions([8, 10, 8], 25) == [0, 1]


@given(lengths_of_texts, st.integers(1, 2048))
def test_no_batch_exceeds_the_budget_or_wastes_more_than_its_share(
    lengths: list[int], max_tokens: int
) -> None:
    chosen = companions(lengths, max_tokens)
    longest = max(lengths[index] for index in chosen)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 1 or longest * len(chosen) <= max_tokens
    for index in chosen:
        assert longest - lengths[index] <= max(PADDING_TOKENS, PADDING_SHARE * longest)


@given(lengths_of_texts, st.integers(1, 2048))
def test_taking_batches_serves_every_text_once(lengths: list[int], max_tokens: int) -> None:
    waiting = list(range(len(lengths)))
    served: list[int] = []
    while waiting:
        chosen = companions([lengths[text] for text in waiting], max_tokens)
        served += [waiting[index] for index in chosen]
        waiting = [text for index, text in enumerate(waiting) if index not in chosen]
    assert sorted(served) == list(range(len(lengths)))
