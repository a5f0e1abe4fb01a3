"""A Redis that takes no writes still answers reads."""

import asyncio

from redis import Redis

from loadtest.redis_server import RedisServer
from serve_app.cache.redis import COOLDOWN_S, FAILURES_TO_OPEN
from serve_app.cache.score_cache import ScoreCache
from tests.unit.cache.scores import GUARD_S, Opener, scores

ITEMS = scores(range(100))


async def test_full(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(redis_server.url)
    with Redis.from_url(redis_server.url) as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", 1)
        await check_that_reads_go_on_without_writes(cache)
        redis.config_set("maxmemory", 0)
    await store_again(cache)


async def test_read_only_replica(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    with (
        RedisServer("--replicaof", "127.0.0.1", str(redis_server.port)) as replica,
        Redis.from_url(replica.url) as redis,
    ):
        async with asyncio.timeout(GUARD_S):
            while redis.exists(*ITEMS) < len(ITEMS):
                await asyncio.sleep(0.05)
        cache = open_scores(replica.url)
        await check_that_reads_go_on_without_writes(cache)
        redis.replicaof("NO", "ONE")
        await store_again(cache)


async def check_that_reads_go_on_without_writes(cache: ScoreCache) -> None:
    for number in range(FAILURES_TO_OPEN):
        await cache.set_many(scores([1000 + number]))
    assert cache.state == "degraded"
    assert await cache.get_many(list(ITEMS)) == ITEMS
    assert cache.state == "degraded", "a read does not prove that writes succeed"


async def store_again(cache: ScoreCache) -> None:
    async with asyncio.timeout(GUARD_S):
        while cache.state != "ok":
            await asyncio.sleep(COOLDOWN_S / 10)
            await cache.set_many(scores([2000]))
