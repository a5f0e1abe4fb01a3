"""Scoring of rows, and the service over HTTP as a scorer; needs no package of the service."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

from serve_app.client import (
    BodyTooLarge,
    InvalidRequest,
    SentimentClient,
    ServerFailed,
    ServerTimeout,
)
from serve_app.client.request import Budget, budget, in_order, portions, refusal
from serve_app.files.reader import Failure, Outcome, Row, ScoredRow


class Scorer(Protocol):
    """A model that scores texts; safe to call from several threads."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model, in the order of its outputs."""

    @property
    def budget(self) -> Budget:
        """The content to give one call of `score`."""

    def refusal(self, text: str) -> str:
        """Return why a text cannot be scored; empty if it can."""

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Return an outcome for each text, in order.

        Raises `SentimentError` if no further text can be scored.
        """


class RemoteScorer:
    """A service. Raises `SentimentError` if it does not answer."""

    def __init__(self, client: SentimentClient) -> None:
        info = client.info()
        self.labels = info.labels
        self.budget: Budget = budget(info.limits)
        self._limits = info.limits
        self._client = client

    def refusal(self, text: str) -> str:
        """Apply the limits of the service; see `Scorer.refusal`."""
        reason = refusal(text, self._limits)
        return reason and f"the text {reason}"

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Send texts to the service; see `Scorer.score`."""
        try:
            return list(self._client.predict(texts))
        except (InvalidRequest, BodyTooLarge, ServerTimeout, ServerFailed) as error:
            if isinstance(error, ServerFailed) and not error.type.endswith(":inference-failed"):
                raise
            if len(texts) > 1:
                half = len(texts) // 2
                return self.score(texts[:half]) + self.score(texts[half:])
            if isinstance(error, ServerTimeout):
                raise
            return [Failure(str(error))]


def score(
    rows: Iterable[Row], scorer: Scorer, executor: Executor, concurrency: int
) -> Iterator[list[ScoredRow]]:
    """Score rows in order, with at most `concurrency` calls of the scorer at a time.

    Takes rows only as fast as results are taken. Yields the rows of one call. Raises
    `SentimentError` if no further row can be scored.
    """
    calls = portions(rows, lambda row: len(row.text), scorer.budget)
    return in_order(executor, partial(score_rows, scorer), calls, 2 * concurrency)


def score_rows(scorer: Scorer, rows: list[Row]) -> list[ScoredRow]:
    """Score rows with one call of the scorer; those with a problem keep it."""
    problems = [row.problem or scorer.refusal(row.text) for row in rows]
    texts = [row.text for row, problem in zip(rows, problems, strict=True) if not problem]
    outcomes = iter(scorer.score(texts) if texts else [])
    return [
        ScoredRow(row, Failure(problem) if problem else next(outcomes))
        for row, problem in zip(rows, problems, strict=True)
    ]
