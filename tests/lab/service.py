"""The API and the lab on one origin, over a service whose scores anyone can recompute."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ray.serve._private.http_util import RequestIdMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.request_record import RecentFigures, RecentRequests
from serve_app.errors import ServiceError
from serve_app.gateway.readiness import Readiness
from serve_app.model.store import ModelIdentity
from serve_app.ray_serve.lab import FiguresCache, create_lab
from serve_app.scores import Classification, KeyedTexts, StageTimes, TextLogits
from serve_app.settings import EngineName, GatewaySettings

VALUES = Counter(good=2, wonderful=3, bad=-2, awful=-3)
CLASSIFIERS = 3


class WordService:
    """A service that adds up the values of words, and counts a text seen before as a hit.

    Attributes:
        requests: The texts of each request so far.
        problems: Raised, one a request, before anything else is answered.
        open: While it is cleared, requests wait.
    """

    engine: EngineName = "onnx-int8"

    def __init__(
        self, labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE"), **settings: object
    ) -> None:
        self.settings = GatewaySettings.model_validate(settings)
        self.model = ModelIdentity(
            path=Path("models/words"),
            model_id="acme/words",
            revision="0123456789abcdef",
            digest="0123456789abcdef",
            labels=labels,
            max_tokens=64,
            pad_id=0,
        )
        self.requests: list[list[str]] = []
        self.problems: list[ServiceError] = []
        self.open = asyncio.Event()
        self.open.set()
        self._seen: set[str] = set()

    def keyed(self, texts: Sequence[str]) -> KeyedTexts:
        return KeyedTexts(texts, {text: text.encode() for text in texts})

    def get_cached(self, keyed: KeyedTexts) -> Classification | None:
        return None

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        texts = keyed.texts
        self.requests.append(list(texts))
        await self.open.wait()
        if self.problems:
            raise self.problems.pop(0)
        hits = sum(text in self._seen for text in texts)
        self._seen.update(texts)
        return Classification(
            logits=[self._score(text) for text in texts],
            hits=hits,
            misses=len(texts) - hits,
            times=StageTimes(cache=0.25, queue=1.5, inference=12.0),
        )

    def _score(self, text: str) -> TextLogits:
        words = re.findall(r"\w+", text.lower())
        value = float(sum(VALUES[word] for word in words))
        rest = (0.0,) * (len(self.model.labels) - 2)
        return TextLogits((-value / 2, value / 2, *rest), len(words) > self.model.max_tokens)

    async def readiness(self) -> Readiness:
        return Readiness(model="ok", cache="ok")


def origin(service: WordService) -> ASGIApp:
    """Return the API and the lab as Ray Serve hosts them."""
    recent = RecentRequests()
    api = create_app(service, [recent])

    async def ask() -> Sequence[RecentFigures]:
        return [recent.figures(CLASSIFIERS)]

    lab = create_lab(FiguresCache(ask))

    async def by_prefix(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/lab" or scope["path"].startswith("/lab/"):
            await lab({**scope, "root_path": "/lab"}, receive, send)
        else:
            await api(scope, receive, send)

    return RequestIdMiddleware(by_prefix)
