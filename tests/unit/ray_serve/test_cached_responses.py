import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

import httpx
import pytest
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.predict import FREE_BYTES
from serve_app.api.request_record import RequestRecord
from serve_app.api_keys import hash_of
from serve_app.cache.score_cache import ScoreCache, open_cache
from serve_app.gateway.gateway import Gateway
from serve_app.ray_serve.cached_responses import BODY_WAIT_S, Source, cached_responses
from serve_app.scores import KeyedTexts
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL as HASH_MODEL
from tests.contract.hash_service import HashService
from tests.unit.gateway.model import MODEL, Model

PATH: Final = "/project/predict"
KNOWN: Final = "known"
SETTINGS: Final = GatewaySettings(max_texts=4, max_pending_texts=4)


class Serve:
    """Hands requests to an application as Ray Serve does, and remembers that it did."""

    def __init__(self, app: ASGIApp) -> None:
        self.paths: list[str] = []
        self._app = RequestIdMiddleware(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await self._app(scope, receive, send)


@pytest.fixture
def reports() -> list[RequestRecord]:
    return []


@pytest.fixture
def cache() -> ScoreCache:
    return open_cache("memory://", len(MODEL.labels), SETTINGS)


@pytest.fixture
async def gateway(cache: ScoreCache) -> AsyncIterator[Gateway]:
    opened = Gateway(MODEL, "onnx-int8", cache, Model(), SETTINGS)
    await opened.classify(opened.keyed([KNOWN]), 1.0)
    yield opened
    await opened.aclose()


@pytest.fixture
def app(gateway: Gateway, reports: list[RequestRecord]) -> ASGIApp:
    return create_app(gateway, [reports.append])


@pytest.fixture
def serve(app: ASGIApp) -> Serve:
    return Serve(app)


@pytest.fixture
def stage(gateway: Gateway, serve: Serve, reports: list[RequestRecord]) -> ASGIApp:
    return cached_responses(serve, lambda: Source(gateway, [reports.append]))


@pytest.fixture
def client(stage: ASGIApp) -> httpx.AsyncClient:
    async def receiving_whole(scope: Scope, receive: Receive, send: Send) -> None:
        # A body that has arrived is one message of uvicorn's, but two of httpx's.
        body = await Request(scope, receive).body()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_whole() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        await stage(scope, receive_whole, send)

    transport = httpx.ASGITransport(receiving_whole)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


async def test_what_is_in_memory_is_answered_without_serve(
    client: httpx.AsyncClient, serve: Serve, reports: list[RequestRecord]
) -> None:
    answer = await client.post(PATH, json={"text": [KNOWN, KNOWN]})
    assert serve.paths == []
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 2
    assert answer.headers["x-cache-hits"] == "2"
    assert [(report.status, report.outcome, report.hits) for report in reports] == [(200, "ok", 2)]


@pytest.mark.parametrize("path", ["/project/predict", "/project/bulk-predict", "/project"])
async def test_answer_and_record_are_those_of_the_application(
    client: httpx.AsyncClient, serve: Serve, reports: list[RequestRecord], path: str
) -> None:
    body = {"inputs": KNOWN} if path == "/project" else {"text": [KNOWN]}
    fast = await client.post(path, json=body, headers={"x-request-id": "mine"})
    through = httpx.AsyncClient(transport=httpx.ASGITransport(serve), base_url="http://gateway")
    slow = await through.post(path, json=body, headers={"x-request-id": "mine"})
    assert serve.paths == [path]
    assert fast.content == slow.content
    fast_report, slow_report = reports
    assert _timeless(fast_report) == _timeless(slow_report)
    assert fast_report.seconds > 0
    varying = {"server-timing"}
    assert [(n, v) for n, v in fast.headers.multi_items() if n not in varying] == [
        (n, v) for n, v in slow.headers.multi_items() if n not in varying
    ]


def _timeless(report: RequestRecord) -> RequestRecord:
    return replace(report, started=0.0, ended=0.0, times=None, seconds=0.0)


async def test_an_answer_has_one_request_id_which_is_reported(
    client: httpx.AsyncClient, reports: list[RequestRecord]
) -> None:
    answer = await client.post(PATH, json={"text": [KNOWN]})
    [identity] = answer.headers.get_list("x-request-id")
    assert identity
    assert [report.request_id for report in reports] == [identity]


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("X-Deadline-Ms", "5000", 200),
        ("X-Deadline-Ms", "soon", 422),
        ("Content-Encoding", "gzip", 422),
        ("Origin", "http://elsewhere", 403),
        ("Origin", "http://gateway", 200),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
    ],
)
async def test_what_a_header_asks_for_is_the_applications_affair(
    client: httpx.AsyncClient, serve: Serve, *, header: str, value: str, status: int
) -> None:
    answer = await client.post(PATH, json={"text": [KNOWN]}, headers={header: value})
    assert answer.status_code == status
    assert serve.paths == [PATH]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b'{"text": ["known", "new"]}', 200),
        ("POST", PATH, b'{"text": "known"}', 422),
        ("POST", PATH, b"", 422),
        ("POST", PATH, json.dumps({"text": [KNOWN]}).encode().ljust(FREE_BYTES + 1), 200),
        ("POST", "/project/other", b'{"text": ["known"]}', 404),
        ("GET", PATH, b"", 405),
        ("GET", "/project/health", b"", 200),
    ],
    ids=["new text", "wrong form", "no body", "large", "other path", "GET", "health"],
)
async def test_everything_else_goes_through_serve_whole(
    client: httpx.AsyncClient, serve: Serve, *, method: str, path: str, body: bytes, status: int
) -> None:
    answer = await client.request(method, path, content=body)
    assert answer.status_code == status
    assert serve.paths == [path]


async def test_limits_hold_for_what_is_in_memory(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json={"text": [KNOWN] * 5})).status_code == 422


async def test_the_limit_of_a_body_holds_however_small_it_is(
    client: httpx.AsyncClient, gateway: Gateway, serve: Serve
) -> None:
    gateway.reconfigure(SETTINGS.model_copy(update={"max_body_bytes": 8}))
    assert (await client.post(PATH, json={"text": [KNOWN]})).status_code == 413
    assert serve.paths == [PATH]


async def test_a_defect_is_left_to_the_application(serve: Serve) -> None:
    broken = HashService(SETTINGS, model=HASH_MODEL._replace(labels=()))
    stage = cached_responses(serve, lambda: Source(broken, []))
    await call(stage, [{"type": "http.request", "body": BODY}])
    assert serve.paths == [PATH]


async def test_a_request_that_memory_cannot_answer_is_parsed_once(
    client: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Sequence[str]] = []
    keyed = gateway.keyed

    def counted(texts: Sequence[str]) -> KeyedTexts:
        hashed.append(texts)
        return keyed(texts)

    monkeypatch.setattr(gateway, "keyed", counted)
    answer = await client.post(PATH, json={"text": [KNOWN, "new"]})
    assert answer.headers["x-cache-misses"] == "1"
    assert hashed == [[KNOWN, "new"]]


async def test_a_request_that_is_cut_off_is_reported_as_left(
    stage: ASGIApp, reports: list[RequestRecord]
) -> None:
    async def cut_off(_: Message) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await call(stage, [{"type": "http.request", "body": BODY}], send=cut_off)
    assert [(report.status, report.outcome) for report in reports] == [(499, "disconnected")]


async def test_texts_are_counted_once_whichever_way_they_take(
    client: httpx.AsyncClient, cache: ScoreCache, gateway: Gateway
) -> None:
    await client.post(PATH, json={"text": [KNOWN, KNOWN]})
    assert (cache.memory_hits, gateway.duplicates, gateway.coalescer.started) == (1, 1, 1)
    await client.post(PATH, json={"text": [KNOWN, "new"]})
    assert (cache.memory_hits, gateway.duplicates, gateway.coalescer.started) == (2, 1, 2)


@pytest.mark.parametrize(("key", "status", "through_serve"), [("key", 200, 0), ("wrong", 401, 1)])
async def test_only_a_known_key_learns_what_is_in_memory(
    client: httpx.AsyncClient,
    gateway: Gateway,
    serve: Serve,
    *,
    key: str,
    status: int,
    through_serve: int,
) -> None:
    gateway.reconfigure(SETTINGS.model_copy(update={"api_keys": (hash_of(b"key"),)}))
    headers = {"authorization": f"Bearer {key}"}
    answer = await client.post(PATH, json={"text": [KNOWN]}, headers=headers)
    assert answer.status_code == status
    assert len(serve.paths) == through_serve


async def call(
    app: ASGIApp,
    messages: list[Message],
    pause_s: float = 0.0,
    send: Send | None = None,
    length: int | None = None,
) -> list[Message]:
    """Send the messages of a request, each after a pause, and return those of the answer."""
    declared = len(BODY) if length is None else length
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": [(b"content-length", str(declared).encode())] if declared >= 0 else [],
        "query_string": b"",
    }
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(pause_s)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send or keep)
    return sent


BODY: Final = json.dumps({"text": [KNOWN]}).encode()


async def test_a_body_in_parts_goes_through_serve_whole(stage: ASGIApp, serve: Serve) -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": BODY[:5], "more_body": True},
        {"type": "http.request", "body": BODY[5:]},
    ]
    assert (await call(stage, parts))[0]["status"] == 200
    assert serve.paths == [PATH]


async def test_a_body_that_comes_late_is_waited_for_by_serve(stage: ASGIApp, serve: Serve) -> None:
    body: list[Message] = [{"type": "http.request", "body": BODY}]
    sent = await call(stage, body, pause_s=2 * BODY_WAIT_S)
    assert sent[0]["status"] == 200
    assert serve.paths == [PATH]


@pytest.mark.parametrize("length", [-1, FREE_BYTES + 1], ids=["unknown", "large"])
async def test_of_a_body_of_unknown_or_large_size_no_byte_is_read_before_serve(
    gateway: Gateway, length: int
) -> None:
    unread: list[Message] = [{"type": "http.request", "body": BODY}]

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        assert len(unread) == 1
        unread.clear()

    await call(cached_responses(refusing, lambda: Source(gateway, [])), unread, length=length)
    assert unread == []


async def test_a_client_that_leaves_at_once_is_serves_affair(stage: ASGIApp, serve: Serve) -> None:
    await call(stage, [{"type": "http.disconnect"}] * 2)
    assert serve.paths == [PATH]


async def test_a_process_without_a_gateway_hands_all_to_serve(serve: Serve) -> None:
    await call(cached_responses(serve), [{"type": "http.request", "body": BODY}])
    assert serve.paths == [PATH]
