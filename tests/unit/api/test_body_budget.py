import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serve_app.api.middleware import FREE_BYTES, BodyBudget
from serve_app.errors import Overloaded
from serve_app.settings import GatewaySettings

ROOM = 1000


class Service:
    settings = GatewaySettings(max_body_bytes=ROOM, max_pending_bytes=ROOM)


class Reader:
    """Reads a body, and answers once told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            size = len(await Request(scope, receive).body())
        except Overloaded:
            await PlainTextResponse("full", 429)(scope, receive, send)
            return
        await self.go_on.wait()
        await PlainTextResponse(str(size))(scope, receive, send)


async def stalling(size: int, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"x" * size
    await go_on.wait()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def budget(reader: Reader) -> BodyBudget:
    service: Any = Service()
    return BodyBudget(reader, service)


@pytest.fixture
def client(budget: BodyBudget) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(budget), base_url="http://service")


@pytest.mark.parametrize("stalls", [True, False], ids=["on its way", "waiting for its answer"])
async def test_a_large_body_counts_as_soon_as_it_comes_and_until_it_is_answered(
    budget: BodyBudget, reader: Reader, client: httpx.AsyncClient, stalls: bool
) -> None:
    size = FREE_BYTES + ROOM
    sent = stalling(size, reader.go_on) if stalls else b"x" * size
    first = asyncio.create_task(client.post("/", content=sent))
    while budget.pending < ROOM:
        await asyncio.sleep(0)
    assert (await client.post("/", content=b"x" * (FREE_BYTES + 1))).status_code == 429
    assert budget.pending == ROOM
    reader.go_on.set()
    assert (await first).text == str(size)
    assert budget.pending == 0
    assert (await client.post("/", content=b"x" * size)).status_code == 200


async def test_large_bodies_keep_no_small_request_out(
    budget: BodyBudget, reader: Reader, client: httpx.AsyncClient
) -> None:
    large = asyncio.create_task(client.post("/", content=b"x" * (FREE_BYTES + ROOM)))
    small = asyncio.create_task(client.post("/", content=b"x" * FREE_BYTES))
    while budget.pending < ROOM:
        await asyncio.sleep(0)
    reader.go_on.set()
    assert {(await small).status_code, (await large).status_code} == {200}


async def test_a_client_that_leaves_gives_its_bytes_back(
    budget: BodyBudget, reader: Reader, client: httpx.AsyncClient
) -> None:
    left = asyncio.create_task(client.post("/", content=b"x" * (FREE_BYTES + ROOM)))
    while budget.pending < ROOM:
        await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    assert budget.pending == 0
