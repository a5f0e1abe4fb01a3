import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from serve_app.client.sync import in_order

from serve_app.files.reader import Outcome, Record
from serve_app.files.run import score

if TYPE_CHECKING:
    from tests.unit.bulk.conftest import HashScorer


def test_rows_come_out_once_and_in_order_whatever_takes_longest(scorer: "HashScorer") -> None:
    turn = threading.Barrier(2)
    plain_score = scorer.score

    def crossed(texts: Sequence[str]) -> list[Outcome]:
        turn.wait(5)
        return plain_score(texts)

    scorer.score = crossed  # type: ignore[method-assign]
    rows = [Record({}, str(n)) for n in range(12)]
    with ThreadPoolExecutor(2) as threads:
        results = [each for part in score(rows, scorer, threads, 2) for each in part]
    assert [each.record for each in results] == rows
    assert [each.outcome for each in results] == [scorer.prediction(str(n)) for n in range(12)]


def test_rows_are_read_only_as_fast_as_they_are_written(scorer: "HashScorer") -> None:
    read = itertools.count()

    def endless() -> Iterator[Record]:
        for number in read:
            yield Record({}, str(number))

    with ThreadPoolExecutor(2) as threads:
        results = score(endless(), scorer, threads, 2)
        for _ in range(10):
            next(results)
        assert next(read) <= (10 + 2 * 2 + 1) * scorer.budget.texts + 1


def test_a_failure_ends_the_calls_that_have_not_begun() -> None:
    begun: list[int] = []

    def fail(number: int) -> int:
        begun.append(number)
        raise ValueError(number)

    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="0"):
        list(in_order(threads, fail, range(1000), 4))
    assert len(begun) <= 4
