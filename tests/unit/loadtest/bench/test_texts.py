from itertools import islice

import pytest

from loadtest.bench.texts import Texts


@pytest.fixture(params=["review sentences", "built-in words"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Texts:
    if request.param == "built-in words":
        monkeypatch.setenv("SENTIMENT_SHARED", "nowhere")
    return Texts()


def test_unique_texts_never_come_twice_nor_from_the_pool(source: Texts) -> None:
    first, second = (list(islice(source.unique(), 15_000)) for _ in range(2))
    assert len({*source.pool, *first, *second}) == len(source.pool) + 30_000


def test_a_seed_decides_the_texts() -> None:
    one, same, other = Texts(1), Texts(1), Texts(2)
    assert one.pool == same.pool != other.pool


def test_texts_are_of_sentence_length(source: Texts) -> None:
    words = [len(text.split()) for text in islice(source.unique(), 1000)]
    assert 16 <= sum(words) / len(words) <= 20
