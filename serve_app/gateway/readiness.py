"""What the HTTP layer asks of a gateway."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import EngineName, GatewaySettings


class Readiness(NamedTuple):
    """State of the parts that a prediction needs.

    Attributes:
        model: `ok` when the classifier has just answered, or is busy and has answered lately.
        cache: `degraded` when predictions go on without it.
    """

    model: Literal["ok", "unavailable"]
    cache: Literal["ok", "degraded", "off"]


class SentimentService(Protocol):
    """A gateway as the HTTP layer sees it."""

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
        """Return texts with the key of each distinct one."""

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        """Score texts, in order.

        Args:
            keyed: The texts of one request; there may be none.
            within_s: What is left of the request's deadline, in seconds.

        Raises:
            ServiceError: Any of its subclasses that concern the model.
        """

    async def readiness(self) -> Readiness:
        """Probe the parts that a prediction needs."""

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        """Return the scores of texts at once if memory has all of them, else None."""
