import asyncio
from collections.abc import Sequence
from pathlib import Path

from loadtest.redis_server import RedisServer
from serve_app.cache.score_cache import ScoreCache, open_cache
from serve_app.gateway.gateway import Gateway
from serve_app.model.store import ModelIdentity
from serve_app.ray_serve.gateway import follow_gateway
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import GatewaySettings
from tests.unit.gateway.model import classify
from tests.unit.telemetry.recorded_metrics import RecordedMetrics

MODEL = ModelIdentity(Path(), "acme/m", "r1", "d", ("NEGATIVE", "POSITIVE"), 512, 0)


class Model:
    """Scores every text alike, once told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        await self.go_on.wait()
        return CallReply([TextLogits((0.0, 1.0), truncated=False)] * len(texts), 1.0, 1.0)

    def replicas(self) -> int:
        return 1


def followed(url: str) -> tuple[RecordedMetrics, Gateway, ScoreCache, Model]:
    settings, meters, model = GatewaySettings(cache_timeout_s=5), RecordedMetrics(), Model()
    cache = open_cache(url, 2, settings)
    gateway = Gateway(MODEL, "torch", cache, model, settings)
    follow_gateway(meters, gateway, cache)
    return meters, gateway, cache, model


async def test_texts_are_told_apart_by_the_source_of_their_scores() -> None:
    with RedisServer() as redis:
        _, other, _, other_model = followed(redis.url)
        other_model.go_on.set()
        await classify(other, "redis knows")
        await other.aclose()
        meters, gateway, _, model = followed(redis.url)
        first = asyncio.create_task(classify(gateway, "new", "redis knows"))
        second = asyncio.create_task(classify(gateway, "new", "new"))
        while meters.read("sentiment_waiting_requests") != 2:
            await asyncio.sleep(0.001)
        assert meters.read("sentiment_texts_in_flight") == 1
        model.go_on.set()
        await asyncio.gather(first, second)
        await classify(gateway, "redis knows")
        sources = ("memory", "redis", "computed", "shared", "duplicate")
        assert [meters.read("sentiment_texts", source) for source in sources] == [1, 1, 1, 1, 1]
        assert meters.read("sentiment_waiting_requests") == 0
        assert meters.read("sentiment_cache_entries") == 2
        await gateway.aclose()


async def test_a_redis_that_goes_away_and_comes_back_shows_in_state_breaker_and_failures() -> None:
    with RedisServer() as redis:
        meters, gateway, cache, _ = followed(redis.url)
        await cache.probe()
        assert meters.read("sentiment_cache_up") == 1
        redis.kill()
        for _ in range(5):
            await cache.get_many([b"key"])
        assert meters.read("sentiment_cache_up") == 0
        assert meters.read("sentiment_cache_breaker_open", "read") == 1
        assert meters.read("sentiment_cache_breaker_open", "write") == 0
        assert meters.read("sentiment_cache_failures", "read") == 5
        redis.start()
        while meters.read("sentiment_cache_up") != 1:
            await cache.get_many([b"key"])
            await asyncio.sleep(0.05)
        assert meters.read("sentiment_cache_breaker_open", "read") == 0
        await gateway.aclose()


async def test_without_redis_there_is_no_state_of_it() -> None:
    meters, _, _, _ = followed("memory://")
    assert not {key for key in meters.followed() if key[0] == "sentiment_cache_up"}


async def test_the_model_is_named() -> None:
    meters, *_ = followed("memory://")
    assert meters.read("sentiment_model_info", "acme/m", "r1", "torch") == 1
