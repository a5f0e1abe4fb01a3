"""The gateway as the HTTP layer sees it; the modules of this package are its parts."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.gateway.readiness import Readiness
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import EngineName, GatewaySettings


class SentimentService(Protocol):
    """A gateway, or a stand-in for it in tests; `settings` may change between two requests."""

    settings: GatewaySettings
    model: ModelIdentity
    engine: EngineName

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        """Return the texts of a request with their cache keys."""

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Return the scores of texts if memory has all of them, else None."""

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        """Score texts, of which duplicates are computed once, within so many seconds.

        Raises `Overloaded`, `DeadlineExceeded`, `ModelUnavailable` if no replica can answer, or
        `InferenceFailed` if the model failed on one of the texts.
        """

    async def readiness(self) -> Readiness:
        """Probe the parts that a prediction needs."""
