"""The application as Ray Serve hosts it, over a small deterministic service.

The service is the seam: it implements `SentimentService` with scores that anyone can recompute, so
that these tests pin HTTP behaviour alone. Everything above it is real, Ray's middleware included.
"""

from collections.abc import Callable

import httpx
import pytest

from serve_app.gateway.readiness import Readiness
from serve_app.model.store import ModelIdentity
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService, logits_of
from tests.contract.server import behind_cached_responses, hosted

ServiceFactory = Callable[..., HashService]
Serve = Callable[..., httpx.AsyncClient]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the operation in the ids of Schemathesis's items: xdist runs each id once."""
    for item in items:
        if item.parent and hasattr(item, "operation_label"):
            item._id = item.parent.id.child(item.name)


@pytest.fixture
def service_with() -> ServiceFactory:
    """Return a function that makes a service; settings are named, the rest is the service's own."""

    def make(
        *,
        fails_with: Exception | None = None,
        hangs: bool = False,
        state: Readiness = READY,
        model: ModelIdentity = MODEL,
        **settings: object,
    ) -> HashService:
        return HashService(
            GatewaySettings.model_validate(settings), fails_with, hangs, state, model
        )

    return make


@pytest.fixture(params=[hosted, behind_cached_responses])
def client_of(request: pytest.FixtureRequest) -> Callable[[HashService], httpx.AsyncClient]:
    """Return a function that makes a client; an exception that leaves the app fails the test."""

    def make(service: HashService) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(request.param(service))
        return httpx.AsyncClient(transport=transport, base_url="http://service")

    return make


@pytest.fixture
def serve(
    service_with: ServiceFactory, client_of: Callable[[HashService], httpx.AsyncClient]
) -> Serve:
    """Return a function that makes a client of a service made with the same arguments."""
    return lambda **service: client_of(service_with(**service))


@pytest.fixture
def expected_logits() -> Callable[[str], tuple[float, ...]]:
    """Return the function that the service scores with."""
    return logits_of
