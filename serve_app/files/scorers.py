"""Scorers of texts, and the service over HTTP as one of them."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.client.errors import BodyTooLarge, InvalidRequest, ServerFailed, ServerTimeout
from serve_app.client.request import Budget, budget, refusal
from serve_app.client.sync import SentimentClient
from serve_app.files.reader import Failed, Outcome


class Scorer(Protocol):
    """Scores texts; safe to call from several threads."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model, in the order of its outputs."""

    @property
    def budget(self) -> Budget:
        """How much one call is to be given."""

    def refusal(self, text: str) -> str:
        """Return why a text cannot be scored, as the rest of a sentence; empty where it can."""

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Return an outcome for each text, in order.

        Raises:
            SentimentError: No text can be scored any more.
        """


class RemoteScorer:
    """A service.

    Args:
        client: How it is asked.

    Raises:
        SentimentError: The service does not say what it is.
    """

    def __init__(self, client: SentimentClient) -> None:
        info = client.info()
        self.labels = info.labels
        self.budget: Budget = budget(info.limits)
        self._limits = info.limits
        self._client = client

    def refusal(self, text: str) -> str:
        """Apply the limits that the service states; see `Scorer.refusal`."""
        return refusal(text, self._limits)

    def score(self, texts: Sequence[str]) -> list[Outcome]:
        """Ask the service; see `Scorer.score`."""
        try:
            return list(self._client.predict(texts))
        except (InvalidRequest, BodyTooLarge, ServerTimeout, ServerFailed) as error:
            if len(texts) > 1 and _is_about_texts(error):
                half = len(texts) // 2
                return self.score(texts[:half]) + self.score(texts[half:])
            if not _is_about_texts(error) or isinstance(error, ServerTimeout):
                raise
            return [Failed(str(error))]


def _is_about_texts(error: Exception) -> bool:
    return not isinstance(error, ServerFailed) or error.type.endswith(":inference-failed")
