"""What the gateway relies on while Redis is well."""

import asyncio
import struct

import pytest
from redis import Redis

from loadtest.redis_server import RedisServer
from serve_app.cache.score_cache import KeySpace, encode, open_cache
from serve_app.errors import InvalidConfig
from serve_app.settings import GatewaySettings
from tests.unit.cache.scores import Opener, score, scores

ITEMS = scores(range(100))


async def test_memory_alone_keeps_scores_and_is_off(open_scores: Opener) -> None:
    cache = open_scores("memory://")
    await cache.set_many(ITEMS)
    await cache.probe()
    assert await cache.get_many([*ITEMS, b"absent"]) == ITEMS
    assert cache.state == "off"


async def test_nothing_is_asked_for_nothing(redis_server: RedisServer, open_scores: Opener) -> None:
    cache = open_scores(redis_server.url)
    await cache.set_many({})
    assert await cache.get_many([]) == {}
    assert cache.state == "ok"


async def test_scores_survive_a_restart(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(redis_server.url)
    assert await cache.get_many([*ITEMS, b"absent"]) == ITEMS
    assert cache.state == "ok"


async def test_a_hit_is_kept_in_memory(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(redis_server.url)
    await cache.get_many(list(ITEMS))
    redis_server.kill()
    assert await cache.get_many(list(ITEMS)) == ITEMS


async def test_a_call_is_one_command_or_one_pipeline(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    await open_scores(redis_server.url).get_many(list(ITEMS))
    with Redis.from_url(redis_server.url) as redis:
        commands = redis.info("commandstats")
    assert commands["cmdstat_mget"]["calls"] == 1
    assert commands["cmdstat_set"]["calls"] == len(ITEMS)
    assert {"cmdstat_get", "cmdstat_multi", "cmdstat_expire"}.isdisjoint(commands)


async def test_lifetimes_vary_within_the_jitter(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    await open_scores(redis_server.url, cache_ttl_s=1000, cache_ttl_jitter=0.2).set_many(ITEMS)
    with Redis.from_url(redis_server.url) as redis:
        lifetimes_ms = [redis.pttl(key) for key in ITEMS]
    assert all(700_000 < lifetime <= 1_200_000 for lifetime in lifetimes_ms)
    assert min(lifetimes_ms) < 900_000
    assert max(lifetimes_ms) > 1_100_000


async def test_without_jitter_lifetimes_are_equal(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    cache = open_scores(redis_server.url, cache_ttl_s=1000, cache_ttl_jitter=0)
    await cache.set_many(ITEMS)
    with Redis.from_url(redis_server.url) as redis:
        assert all(900_000 < redis.pttl(key) <= 1_000_000 for key in ITEMS)


async def test_revisions_and_engines_do_not_see_each_other(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    spaces = [
        KeySpace("a" * 64, "torch"),
        KeySpace("b" * 64, "torch"),
        KeySpace("a" * 64, "onnx-int8"),
    ]
    keys = [space.key("the same text") for space in spaces]
    await open_scores(redis_server.url).set_many({keys[0]: score(1)})
    assert await open_scores(redis_server.url).get_many(keys) == {keys[0]: score(1)}


async def test_what_is_not_a_value_of_the_key_is_a_miss_and_is_replaced(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    keys = list(ITEMS)[:8]
    whole = encode(keys[0], ITEMS[keys[0]])
    with Redis.from_url(redis_server.url) as redis:
        redis.set(keys[0], b"foreign")
        redis.set(keys[1], b"")
        redis.set(keys[2], whole)
        redis.set(keys[3], encode(keys[3], ITEMS[keys[3]])[:-1])
        redis.set(keys[4], struct.pack("<2f", 0.5, -0.5))
        redis.lpush(keys[5], "a list")
        redis.hset(keys[6], "a", "hash")
        redis.set(keys[7], encode(keys[7], ITEMS[keys[7]]))
    assert await open_scores(redis_server.url).get_many(keys) == {keys[7]: ITEMS[keys[7]]}
    await open_scores(redis_server.url).set_many(ITEMS)
    assert await open_scores(redis_server.url).get_many(keys) == {key: ITEMS[key] for key in keys}


async def test_settings_change_while_it_runs(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    cache = open_scores(redis_server.url, cache_ttl_s=1000, cache_ttl_jitter=0)
    await cache.set_many(ITEMS)
    cache.reconfigure(GatewaySettings(cache_memory_entries=1, cache_ttl_s=50, cache_ttl_jitter=0))
    more = scores([1000, 1001])
    await cache.set_many(more)
    with Redis.from_url(redis_server.url) as redis:
        assert all(0 < redis.pttl(key) <= 50_000 for key in more)
    redis_server.kill()
    assert len(await cache.get_many([*ITEMS, *more])) == 1


async def test_calls_wait_for_a_connection(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(f"{redis_server.url}?max_connections=1", cache_memory_entries=1)
    answers = await asyncio.gather(*(cache.get_many(list(ITEMS)) for _ in range(50)))
    assert all(answer == ITEMS for answer in answers)
    with Redis.from_url(redis_server.url) as redis:
        assert redis.info("stats")["total_connections_received"] < 10


def test_it_belongs_to_the_loop_that_uses_it_first(redis_server: RedisServer) -> None:
    cache = open_cache(redis_server.url, 2, GatewaySettings(cache_timeout_s=5))

    async def use() -> None:
        await asyncio.gather(*(cache.set_many(ITEMS) for _ in range(50)))
        assert await cache.get_many(list(ITEMS)) == ITEMS
        assert cache.state == "ok"
        await cache.aclose()

    asyncio.run(use())


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@127.0.0.1/0",
        "unix://:secret@/run/redis.sock",
        "redis://:secret@127.0.0.1:port/0",
        "redis://:secret@127.0.0.1/0?no_such_option=1",
        "redis://:secret@127.0.0.1/0?db=first",
        "rediss://:secret@127.0.0.1/0?ssl_cert_reqs=perhaps",
        "rediss://:secret@127.0.0.1/0?ssl_ca_certs=/no/such/file",
    ],
)
def test_an_unusable_url_ends_the_start_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        open_cache(url, 2, GatewaySettings())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
