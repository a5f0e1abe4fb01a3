"""Whatever happens to Redis, a call returns in time, finds less, and recovers."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest

from loadtest.redis_server import RedisServer
from serve_app.cache.redis import FAILURES_TO_OPEN
from serve_app.cache.score_cache import ScoreCache
from tests.unit.cache.scores import GUARD_S, Opener, recover, scores

ITEMS = scores(range(100))
SHORT_S = 0.05


async def degrade(cache: ScoreCache) -> None:
    """Read and write until the breaker is open; nothing is found and nothing raised."""
    async with asyncio.timeout(GUARD_S):
        for number in range(FAILURES_TO_OPEN):
            assert await cache.get_many([b"never cached %d" % number]) == {}
            await cache.set_many(scores([3000 + number]))
    assert cache.state == "degraded"


async def test_down_before_the_start(open_scores: Opener) -> None:
    with RedisServer() as server:
        server.kill()
        cache = open_scores(server.url)
        await cache.probe()
        assert cache.state == "degraded", "one failed probe is enough to say so"
        await degrade(cache)
        server.start()
        await recover(cache)
        await cache.set_many(ITEMS)
        assert await open_scores(server.url).get_many(list(ITEMS)) == ITEMS


async def test_killed_and_back_on_the_same_port(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    cache = open_scores(redis_server.url)
    await cache.set_many(ITEMS)
    redis_server.kill()
    await degrade(cache)
    assert await cache.get_many(list(ITEMS)) == ITEMS, "the memory tier still answers"
    redis_server.start()
    await recover(cache)
    await cache.set_many(ITEMS)
    assert await open_scores(redis_server.url).get_many(list(ITEMS)) == ITEMS


async def test_restarted_between_two_calls_nobody_notices(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    cache = open_scores(redis_server.url)
    await cache.set_many(ITEMS)
    redis_server.kill()
    redis_server.start()
    await asyncio.sleep(0.1)  # lets the event loop see that the connection was closed
    await cache.set_many(ITEMS)
    assert cache.state == "ok"
    assert await open_scores(redis_server.url).get_many(list(ITEMS)) == ITEMS


async def test_stopped(redis_server: RedisServer, open_scores: Opener) -> None:
    await open_scores(redis_server.url).set_many(ITEMS)
    cache = open_scores(redis_server.url, cache_timeout_s=SHORT_S)
    await recover(cache)
    redis_server.pause()
    await degrade(cache)
    async with asyncio.timeout(GUARD_S):
        for _ in range(10_000):
            assert await cache.get_many(list(ITEMS)) == {}
    redis_server.resume()
    await recover(cache)
    async with asyncio.timeout(GUARD_S):
        while await cache.get_many(list(ITEMS)) != ITEMS:
            await asyncio.sleep(SHORT_S)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A URL whose port drops connection requests: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        for filler in fillers:
            filler.close()


async def test_black_hole(black_hole: str, open_scores: Opener) -> None:
    cache = open_scores(black_hole, cache_timeout_s=SHORT_S)
    await degrade(cache)


async def test_many_calls_at_once_against_a_stopped_server(
    redis_server: RedisServer, open_scores: Opener
) -> None:
    """More calls than connections: those that wait give up in time as well."""
    cache = open_scores(f"{redis_server.url}?max_connections=2", cache_timeout_s=SHORT_S)
    await recover(cache)
    redis_server.pause()
    async with asyncio.timeout(GUARD_S):
        answers = await asyncio.gather(*(cache.get_many(list(ITEMS)) for _ in range(100)))
    assert answers == [{}] * 100
    redis_server.resume()
    await recover(cache)
    await cache.set_many(ITEMS)
    assert await open_scores(redis_server.url).get_many(list(ITEMS)) == ITEMS


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:wrong@"])
async def test_wrong_password(
    credentials: str, open_scores: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(password="right") as server:
        cache = open_scores(f"redis://{credentials}127.0.0.1:{server.port}/0")
        await degrade(cache)
    assert "wrong" not in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":1\r\n",
        b"$-5\r\n",
        b"*1\r\n$1\r\nx\r\n",
        b"*-1\r\n",
        b"*2\r\n:1\r\n*1\r\n+x\r\n",
        b"-ERR unknown command `MGET`, with args beginning with: `secret`\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"\xff\xfe\x00\r\n",
    ],
)
async def test_a_server_that_is_not_a_working_redis(
    reply: bytes, open_scores: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = open_scores(f"redis://127.0.0.1:{port}", cache_timeout_s=0.2)
    async with asyncio.timeout(GUARD_S):
        for _ in range(FAILURES_TO_OPEN):
            assert await cache.get_many([b"one", b"two"]) == {}
            await cache.set_many(scores([1, 2]))
    await cache.aclose()
    server.close()
    assert "secret" not in caplog.text


async def test_trouble_and_recovery_are_logged_once(
    redis_server: RedisServer, open_scores: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serve_app.cache")
    cache = open_scores(redis_server.url)
    redis_server.kill()
    for _ in range(5):
        await degrade(cache)
    redis_server.start()
    await recover(cache)
    for number in range(10):
        await cache.set_many(scores([number]))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert str(redis_server.port) not in caplog.text


async def test_the_url_is_in_no_representation(open_scores: Opener) -> None:
    cache = open_scores("redis://somebody:secret@127.0.0.1:1/0")
    waiting: list[object] = [cache]
    for item in waiting:
        if type(item).__module__.startswith(("serve_app", "redis")):
            waiting.extend(vars(item).values())
        if not isinstance(item, str | dict):
            assert "secret" not in repr(item)
    assert len(waiting) > 10
