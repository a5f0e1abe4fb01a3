"""The gateway as the HTTP layer sees it; the modules of this package are its stages."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.gateway.readiness import Readiness
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import EngineName, GatewaySettings


class SentimentService(Protocol):
    """A gateway, or what stands in for it in tests."""

    @property
    def settings(self) -> GatewaySettings:
        """Current tunables; they may change between two requests."""

    @property
    def model(self) -> ModelIdentity:
        """The model that answers."""

    @property
    def engine(self) -> EngineName:
        """The engine that runs the model."""

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        """Return the texts of a request with their cache keys."""

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Return the scores of texts if memory has all of them, else None."""

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        """Score texts.

        Args:
            keyed: Any number of texts; duplicates are computed once.
            within_s: Seconds after which the answer is of no use.

        Raises:
            Overloaded: Too much work waits for the model.
            DeadlineExceeded: No answer came in time.
            ModelUnavailable: No replica of the model can answer.
            InferenceFailed: The model failed on one of the texts.
        """

    async def readiness(self) -> Readiness:
        """Probe the parts that a prediction needs."""
