"""The real k6 against the real HTTP application, over the contract tests' small service."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from loadtest import k6_process
from loadtest.ports import free_port
from serve_app.api.app import create_app
from serve_app.errors import Overloaded, StartupError
from serve_app.scores import Classification, KeyedTexts
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService


class RunK6(Protocol):
    def __call__(self, scenario: str, directory: Path, **settings: str) -> int:
        """Run a scenario and return the exit status of k6."""


class RecordingService(HashService):
    """Keeps the texts of every request; refuses every other one while `refuses` is set."""

    def __init__(self) -> None:
        super().__init__(GatewaySettings(), None, False, READY, MODEL)
        self.requests: list[list[str]] = []
        self.refuses = False

    async def classify(self, keyed: KeyedTexts, within_s: float) -> Classification:
        self.requests.append(list(keyed.texts))
        if self.refuses and len(self.requests) % 2:
            raise Overloaded("2048 texts wait for the model.")
        return await super().classify(keyed, within_s)


class ContentTypes:
    """Keeps the content type of every POST request, None where it has none."""

    def __init__(self, app: ASGIApp) -> None:
        self.seen: list[bytes | None] = []
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "POST":
            self.seen.append(dict(scope["headers"]).get(b"content-type"))
        await self._app(scope, receive, send)


@pytest.fixture(scope="session")
def service() -> RecordingService:
    return RecordingService()


@pytest.fixture(scope="session")
def content_types(service: RecordingService) -> ContentTypes:
    return ContentTypes(create_app(service))


@pytest.fixture(scope="session")
def url(content_types: ContentTypes) -> Iterator[str]:
    """Where the application answers."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(content_types, port=port, log_level="warning", access_log=False, ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def run_k6(url: str) -> RunK6:
    """Run scenarios, or skip where there is no k6."""
    try:
        k6_process.binary()
    except StartupError as error:
        pytest.skip(error.problem)

    def run(scenario: str, directory: Path, **settings: str) -> int:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            return k6_process.start(scenario, url, directory, serves=True).wait()

    return run


@pytest.fixture(scope="session")
def finished_run(run_k6: RunK6, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of two seconds, to be read only."""
    directory = tmp_path_factory.mktemp("runs") / "family"
    directory.mkdir()
    assert run_k6("family", directory, DURATION="2s") == 0
    return directory
