import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.formats import PREDICTIONS
from serve_app.api.predict import (
    FREE_BYTES,
    BodyBudget,
    PredictEndpoint,
    allowed_s,
    deadline,
    read_body,
)
from serve_app.api.request_record import RequestRecord
from serve_app.api_keys import hash_of
from serve_app.errors import BodyTooLarge, DeadlineExceeded, InvalidRequest, Overloaded
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import TIMES, HashService


def uncounted(_: int) -> None:
    """Count no bytes."""


def request_of(parts: Sequence[bytes], headers: dict[str, str], *, leaves: bool = False) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": leaves or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw}, receive)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8))
async def test_parts_are_joined_up_to_the_limit(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert await read_body(request_of(parts, {}), len(whole), uncounted) == whole
    if whole:
        with pytest.raises(BodyTooLarge):
            await read_body(request_of(parts, {}), len(whole) - 1, uncounted)


async def test_the_declared_size_is_believed_when_it_is_too_large() -> None:
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        await read_body(request_of([b"short"], {"content-length": "11"}), 10, uncounted)


@pytest.mark.parametrize("declared", ["10", "0", "-5", "ten", "1" * 5000])
async def test_the_declared_size_is_otherwise_of_no_interest(declared: str) -> None:
    headers = {"content-length": declared}
    assert await read_body(request_of([b"short"], headers), 10, uncounted) == b"short"
    with pytest.raises(BodyTooLarge):
        await read_body(request_of([b"short", b"longer"], headers), 10, uncounted)


@pytest.mark.parametrize("encoding", ["gzip", "Deflate", "br, identity"])
async def test_encoded_bodies_are_refused(encoding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read_body(request_of([b"{}"], {"content-encoding": encoding}), 10, uncounted)
    assert caught.value.errors[0]["loc"] == ["body"]


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
async def test_identity_is_no_encoding(encoding: str) -> None:
    assert (
        await read_body(request_of([b"{}"], {"content-encoding": encoding}), 10, uncounted) == b"{}"
    )


async def test_a_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(request_of([b"half"], {}, leaves=True), 10, uncounted)


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    async with deadline(60) as seconds_left:
        first = seconds_left()
        await asyncio.sleep(0)
        assert 0 < seconds_left() <= first <= 60


async def test_a_block_that_hangs_is_cancelled() -> None:
    cancelled = False
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 seconds"):
        async with deadline(0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
    assert cancelled


async def test_nothing_is_left_after_the_end() -> None:
    with pytest.raises(DeadlineExceeded):
        async with deadline(0.001) as seconds_left:
            try:
                await asyncio.Event().wait()
            finally:
                assert seconds_left() == 0


async def test_the_blocks_own_timeout_passes() -> None:
    with pytest.raises(TimeoutError):
        async with deadline(60):
            raise TimeoutError


async def test_a_cancellation_from_outside_passes() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with deadline(60):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, 30), ("250", 0.25), ("30000", 30), ("99999999999999999999", 30), ("0000000010", 0.01)],
)
def test_a_client_may_ask_for_less_than_the_longest_deadline(
    asked: str | None, seconds: float
) -> None:
    assert allowed_s(asked, 30) == seconds


@pytest.mark.parametrize("asked", ["", "0", "-1", "1.5", "soon", "1e3", "\u0663"])
def test_what_is_no_number_of_milliseconds_is_refused(asked: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        allowed_s(asked, 30)
    assert refused.value.errors[0]["loc"] == ["header", "x-deadline-ms"]


ROOM = 1000


class Reader:
    """Reads a body within a budget, and answers once told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.budget = BodyBudget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.budget.reserve(ROOM) as count_bytes:
            try:
                body = await read_body(Request(scope, receive), 2 * FREE_BYTES, count_bytes)
            except Overloaded:
                await PlainTextResponse("full", 429)(scope, receive, send)
                return
            await self.go_on.wait()
            await PlainTextResponse(str(len(body)))(scope, receive, send)


async def stalling(size: int, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"x" * size
    await go_on.wait()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def budget(reader: Reader) -> BodyBudget:
    return reader.budget


@pytest.fixture
def client(reader: Reader) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(reader), base_url="http://service")


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


PATH = "/project/predict"


async def records(
    service: HashService, method: str = "POST", **request: Any
) -> list[RequestRecord]:
    seen: list[RequestRecord] = []
    transport = httpx.ASGITransport(create_app(service, [seen.append]))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        headers = {"x-request-id": "mine"}
        await client.request(method, request.pop("path", PATH), headers=headers, **request)
    return seen


async def test_an_answer_is_recorded_with_its_counts_and_times() -> None:
    service = HashService(GatewaySettings())
    await records(service, json={"text": ["known"]})
    [record] = await records(service, json={"text": ["known", "w " * 600]})
    assert (record.request_id, record.path) == ("mine", PATH)
    assert (record.status, record.outcome) == (200, "ok")
    assert (record.texts, record.hits, record.misses, record.truncated) == (2, 1, 1, 1)
    assert record.times == TIMES
    assert record.seconds > 0


async def test_a_refusal_is_recorded_with_its_reason() -> None:
    full = HashService(GatewaySettings(), fails_with=Overloaded("full"))
    [record] = await records(full, json={"text": ["a"]})
    assert (record.status, record.outcome, record.texts) == (429, "overloaded", 1)


@pytest.mark.parametrize(
    ("request_", "status", "outcome"),
    [
        ({"content": b"no JSON"}, 422, "invalid-request"),
        ({"method": "GET"}, 405, "method-not-allowed"),
    ],
)
async def test_a_request_that_cannot_be_read_is_recorded_without_a_count_of_texts(
    request_: dict[str, Any], status: int, outcome: str
) -> None:
    [record] = await records(HashService(GatewaySettings()), **request_)
    assert (record.status, record.outcome, record.texts) == (status, outcome, None)


async def test_a_request_without_a_key_is_recorded() -> None:
    guarded = HashService(GatewaySettings(api_keys=(hash_of(b"key"),)))
    [record] = await records(guarded, json={"text": ["a"]})
    assert (record.status, record.outcome) == (401, "unauthorized")


async def test_an_unexpected_error_is_recorded_as_an_internal_error() -> None:
    [record] = await records(
        HashService(GatewaySettings(), fails_with=KeyError("defect")), json={"text": ["a"]}
    )
    assert (record.status, record.outcome) == (500, "internal-error")


async def test_other_paths_are_not_recorded() -> None:
    service = HashService(GatewaySettings())
    assert await records(service, "GET", path="/project/health") == []
    assert await records(service, "GET", path="/project/other") == []


async def test_a_request_whose_client_leaves_is_recorded_as_disconnected() -> None:
    seen: list[RequestRecord] = []
    service = HashService(GatewaySettings(), hangs=True)
    endpoint = PredictEndpoint(service, PREDICTIONS[PATH], BodyBudget(), [seen.append])

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"text": ["a"]}'}

    async def send(_: Message) -> None:
        raise AssertionError("nobody is there")

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
    task = asyncio.create_task(endpoint(scope, receive, send))
    while not service.asked_within_s:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(record.status, record.outcome) for record in seen] == [(499, "disconnected")]


async def test_a_client_that_leaves_amid_its_body_is_recorded_as_disconnected() -> None:
    seen: list[RequestRecord] = []
    service = HashService(GatewaySettings())
    endpoint = PredictEndpoint(service, PREDICTIONS[PATH], BodyBudget(), [seen.append])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    await endpoint({"type": "http", "method": "POST", "path": PATH, "headers": []}, receive, send)
    assert [(record.status, record.outcome) for record in seen] == [(499, "disconnected")]
