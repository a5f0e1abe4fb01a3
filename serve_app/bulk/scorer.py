"""What can score texts: the service over HTTP, or a model in this process."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.bulk.record import Outcome
from serve_app.client.request import Budget


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
