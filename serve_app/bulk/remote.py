"""Scores over HTTP, and finds the text at fault where the service refuses a request."""

from collections.abc import Sequence

from serve_app.bulk.record import Failed, Outcome
from serve_app.client.errors import BodyTooLarge, InvalidRequest, ServerFailed, ServerTimeout
from serve_app.client.request import Budget, budget, refusal
from serve_app.client.synchronous import SentimentClient


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
