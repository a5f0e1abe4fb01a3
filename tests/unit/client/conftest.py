"""The contract's application on a real socket, with a service that can be told to fail."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.client import AsyncSentimentClient, Info, Prediction, SentimentClient
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService
from tests.contract.server import hosted, serving

Kind = Literal["sync", "async"]
Predict = Callable[..., list[Prediction]]


class Recorder(HashService):
    """Records what it is asked, and fails as often as it is told to."""

    def __init__(self, failures: Iterable[Exception], hangs: bool, **settings: object) -> None:
        super().__init__(GatewaySettings.model_validate(settings), None, hangs, READY, MODEL)
        self.failures = list(failures)
        self.requests: list[Sequence[str]] = []
        self.max_at_a_time = 0
        self._at_a_time = 0

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        self.requests.append(keyed.texts)
        self._at_a_time += 1
        self.max_at_a_time = max(self.max_at_a_time, self._at_a_time)
        try:
            await asyncio.sleep(0.01)
            if self.failures:
                raise self.failures.pop(0)
            return await super().classify(keyed, within_s)
        finally:
            self._at_a_time -= 1


class Observer:
    """ASGI middleware that records the headers and the connection of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.headers: list[dict[str, str]] = []
        self.connections: set[Any] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.connections.add(tuple(scope["client"]))
        await self._app(scope, receive, send)


class Server:
    """A service that is running.

    Args:
        service: What it scores with.
        stack: Ends it.
    """

    def __init__(self, service: Recorder, stack: ExitStack) -> None:
        self.service = service
        self.observer = Observer(hosted(service))
        self.url = stack.enter_context(serving(self.observer))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server; settings are the gateway's."""
    with ExitStack() as stack:

        def start(
            failures: Iterable[Exception] = (), *, hangs: bool = False, **settings: object
        ) -> Server:
            return Server(Recorder(failures, hangs, **settings), stack)

        yield start


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Run a test with each of the two clients."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def predict(kind: Kind) -> Predict:
    """Return a function that opens a client, predicts, and closes it."""

    def synchronously(url: str, *calls: Iterable[str], **options: Any) -> list[Prediction]:
        with SentimentClient(url, **options) as client:
            return [each for texts in calls for each in client.predict(texts)]

    def asynchronously(url: str, *calls: Iterable[str], **options: Any) -> list[Prediction]:
        async def run() -> list[Prediction]:
            async with AsyncSentimentClient(url, **options) as client:
                return [each for texts in calls for each in await client.predict(texts)]

        return asyncio.run(run())

    return synchronously if kind == "sync" else asynchronously


@pytest.fixture
def info(kind: Kind) -> Callable[[str], Info]:
    """Return a function that asks a server what it is."""

    def ask(url: str) -> Info:
        if kind == "sync":
            with SentimentClient(url) as client:
                return client.info()

        async def run() -> Info:
            async with AsyncSentimentClient(url) as client:
                return await client.info()

        return asyncio.run(run())

    return ask
