"""Rows through a scorer, side by side and in order, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

from serve_app.client.request import chunks, in_order
from serve_app.files.reader import Failed, Outcome, Record
from serve_app.files.scorers import Scorer


class Result(NamedTuple):
    """A row and what came of it."""

    record: Record
    outcome: Outcome


def score(
    records: Iterable[Record], scorer: Scorer, executor: Executor, concurrency: int
) -> Iterator[Sequence[Result]]:
    """Score rows; exactly one result for each, in order.

    Args:
        records: The rows, taken only as fast as results are taken.
        scorer: What scores them.
        executor: Runs `concurrency` calls at a time.
        concurrency: Most calls at a time.

    Yields:
        The results of one call of the scorer.

    Raises:
        SentimentError: The scorer cannot go on.
    """
    work = chunks(records, lambda record: len(record.text), scorer.budget)
    return in_order(executor, partial(score_chunk, scorer), work, 2 * concurrency)


def score_chunk(scorer: Scorer, records: list[Record]) -> list[Result]:
    """Score rows with one call of the scorer; those with a problem keep it."""
    problems = [record.problem or _refusal(scorer, record.text) for record in records]
    texts = [record.text for record, problem in zip(records, problems, strict=True) if not problem]
    outcomes = iter(scorer.score(texts) if texts else [])
    return [
        Result(record, Failed(problem) if problem else next(outcomes))
        for record, problem in zip(records, problems, strict=True)
    ]


def _refusal(scorer: Scorer, text: str) -> str:
    reason = scorer.refusal(text)
    return f"the text {reason}" if reason else ""
