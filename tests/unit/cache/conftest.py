from collections.abc import AsyncIterator, Iterator

import pytest

from loadtest.redis_server import RedisServer
from serve_app.cache.score_cache import ScoreCache, open_cache
from serve_app.settings import GatewaySettings
from tests.unit.cache.scores import Opener


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def open_scores() -> AsyncIterator[Opener]:
    """Opens caches for two labels, with a generous deadline; closes them after the test."""
    opened: list[ScoreCache] = []

    def opener(url: str, **settings: float) -> ScoreCache:
        values = {"cache_timeout_s": 5.0, **settings}
        opened.append(open_cache(url, 2, GatewaySettings.model_validate(values)))
        return opened[-1]

    yield opener
    for cache in opened:
        await cache.aclose()
