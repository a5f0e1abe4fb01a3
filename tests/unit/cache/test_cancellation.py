"""A caller that leaves must not leave its answer behind for the next one.

The class of bug: https://openai.com/index/march-20-chatgpt-outage/
"""

import asyncio
from random import Random

import pytest
from redis import Redis

from loadtest.redis_server import RedisServer
from tests.unit.cache.scores import GUARD_S, Opener, recover, scores

ITEMS = scores(range(200))


async def test_the_next_answer_is_not_the_previous_ones(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(f"{redis_server.url}?max_connections=1", cache_timeout_s=GUARD_S)
    await recover(cache)
    first, second = list(ITEMS)[:2]
    redis_server.pause()
    left = asyncio.create_task(cache.get_many([first]))
    await asyncio.sleep(0.05)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    redis_server.resume()
    assert await cache.get_many([second]) == {second: ITEMS[second]}
    assert await cache.get_many([first]) == {first: ITEMS[first]}


async def test_a_cancelled_write_leaves_no_reply_behind(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(f"{redis_server.url}?max_connections=1", cache_timeout_s=GUARD_S)
    await recover(cache)
    redis_server.pause()
    left = asyncio.create_task(cache.set_many(scores(range(1000, 1100))))
    await asyncio.sleep(0.05)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    redis_server.resume()
    assert await cache.get_many(list(ITEMS)) == ITEMS


async def test_calls_cancelled_anywhere_leave_the_others_right(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(f"{redis_server.url}?max_connections=4", cache_memory_entries=1)
    random = Random(1)
    keys = list(ITEMS)

    async def call() -> None:
        wanted = random.sample(keys, 3)
        if random.random() < 0.3:
            await cache.set_many({key: ITEMS[key] for key in wanted})
        else:
            assert await cache.get_many(wanted) == {key: ITEMS[key] for key in wanted}

    async with asyncio.timeout(4 * GUARD_S):
        for _ in range(200):
            tasks = [asyncio.create_task(call()) for _ in range(8)]
            for _ in range(random.randrange(12)):
                await asyncio.sleep(0)
            left = [task for task in random.sample(tasks, 4) if task.cancel()]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [
                task in left for task in tasks
            ]
            assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    assert cache.state == "ok"
    with Redis.from_url(redis_server.url) as redis:
        assert redis.info("clients")["connected_clients"] <= 4 + 1 + 1
