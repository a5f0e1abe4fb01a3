from collections.abc import AsyncIterator

import pytest

from serve_app.cache.score_cache import open_cache
from serve_app.gateway.gateway import Gateway
from serve_app.settings import GatewaySettings
from tests.unit.gateway.model import MODEL, Model


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def gateway(model: Model) -> AsyncIterator[Gateway]:
    settings = GatewaySettings(max_texts=4, max_pending_texts=4, chunk_texts=2)
    cache = open_cache("memory://", 2, settings)
    opened = Gateway(MODEL, "onnx-int8", cache, model, settings)
    yield opened
    await opened.aclose()
