import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from serve_app.client import RetryPolicy, SentimentClient, ServerFailed, ServerTimeout
from serve_app.errors import DeadlineExceeded, InferenceFailed
from serve_app.files.reader import Failure, Outcome, Row
from serve_app.files.scorers import RemoteScorer, score
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService
from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.unit.files.conftest import HashScorer

ONCE = RetryPolicy(retries=0)


class Picky(HashService):
    """Fails on requests with certain texts."""

    def __init__(self, fails: Callable[[Sequence[str]], Exception | None]) -> None:
        super().__init__(GatewaySettings(), None, hangs=False, state=READY, model=MODEL)
        self._fails = fails

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        await asyncio.sleep(0)
        if error := self._fails(keyed.texts):
            raise error
        return await super().classify(keyed, within_s)


@pytest.fixture
def remote(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[Callable[[Sequence[str]], Exception | None]], RemoteScorer]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:

        def start(fails: Callable[[Sequence[str]], Exception | None]) -> RemoteScorer:
            url = stack.enter_context(serving(hosted(Picky(fails))))
            return RemoteScorer(stack.enter_context(SentimentClient(url, retry=ONCE)))

        yield start


Start = Callable[[Callable[[Sequence[str]], Exception | None]], RemoteScorer]


def test_the_one_text_that_the_model_fails_on_is_found(remote: Start) -> None:
    scorer = remote(lambda texts: InferenceFailed("broken") if "bad" in texts else None)
    texts = [f"text {n}" for n in range(20)]
    texts[13] = "bad"
    outcomes = scorer.score(texts)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Failure)] == [13]
    assert outcomes[12:15:2] == scorer.score([texts[12], texts[14]])


def test_a_request_that_takes_too_long_is_divided(remote: Start) -> None:
    scorer = remote(lambda texts: DeadlineExceeded("late") if len(texts) > 5 else None)
    outcomes = scorer.score([f"text {n}" for n in range(20)])
    assert not any(isinstance(outcome, Failure) for outcome in outcomes)


def test_a_timeout_of_a_single_text_ends_the_run(remote: Start) -> None:
    with pytest.raises(ServerTimeout):
        remote(lambda _: DeadlineExceeded("late")).score(["a", "b"])


def test_a_failure_that_is_not_caused_by_a_text_ends_the_run(remote: Start) -> None:
    with pytest.raises(ServerFailed):
        remote(lambda _: RuntimeError("a bug")).score(["a", "b"])


def test_each_row_is_scored_once_and_in_order_though_calls_overlap(scorer: "HashScorer") -> None:
    turn = threading.Barrier(2)
    plain_score = scorer.score

    def crossed(texts: Sequence[str]) -> list[Outcome]:
        turn.wait(5)
        return plain_score(texts)

    scorer.score = crossed  # type: ignore[method-assign]
    rows = [Row({}, str(n)) for n in range(12)]
    with ThreadPoolExecutor(2) as threads:
        results = [each for chunk in score(rows, scorer, threads, 2) for each in chunk]
    assert [each.row for each in results] == rows
    assert [each.outcome for each in results] == [scorer.prediction(str(n)) for n in range(12)]


def test_rows_are_read_only_as_fast_as_they_are_written(scorer: "HashScorer") -> None:
    read = itertools.count()

    def endless() -> Iterator[Row]:
        for number in read:
            yield Row({}, str(number))

    with ThreadPoolExecutor(2) as threads:
        results = score(endless(), scorer, threads, 2)
        for _ in range(10):
            next(results)
        assert next(read) <= (10 + 2 * 2 + 1) * scorer.budget.texts + 1
