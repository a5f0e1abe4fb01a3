"""What clients meet, and the operator sees, while a gateway refuses: a real gateway, no Ray."""

import asyncio
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import httpx
import pytest
from ray.serve._private.http_util import RequestIdMiddleware

from serve_app.api.app import create_app
from serve_app.api.request_record import RequestMetrics, RequestRecord
from serve_app.api_keys import hash_of
from serve_app.cache.score_cache import open_cache
from serve_app.gateway.gateway import Gateway
from serve_app.ray_serve.proxy import serve_errors
from serve_app.scores import CallReply, TextLogits
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL
from tests.unit.telemetry.recorded_metrics import RecordedMetrics

if TYPE_CHECKING:
    from tests.contract.conftest import Serve

PREDICT = "/project/predict"
KEY = {"authorization": "Bearer key"}
SETTINGS = GatewaySettings(
    max_texts=2, max_pending_texts=2, api_keys=(hash_of(b"key"),), max_body_bytes=2_000
)


class Model:
    """Scores every text alike; answers nothing while it is held."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    async def classify(
        self, texts: Sequence[str], within_s: float, sizes: Sequence[int] = ()
    ) -> CallReply:
        await self.free.wait()
        return CallReply([TextLogits((0.0, 1.0), truncated=False)] * len(texts), 1.0, 1.0)

    def replicas(self) -> int:
        return 1


class FullGateway:
    """A gateway that knows the text `cached`, and whose queue is full.

    Attributes:
        client: Asks it through all that Ray Serve wraps it in.
        demand: Returns how many characters it was asked for.
        meters: Its metrics of requests.
        reports: What its request log is made of.
    """

    def __init__(self) -> None:
        self.meters = RecordedMetrics()
        self.reports: list[RequestRecord] = []
        self._model = Model()
        cache = open_cache("memory://", 2, SETTINGS)
        self._gateway = Gateway(MODEL, "onnx-int8", cache, self._model, SETTINGS)
        app = create_app(self._gateway, (RequestMetrics(self.meters), self.reports.append))
        transport = httpx.ASGITransport(serve_errors(RequestIdMiddleware(app)))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://service", headers=KEY)

    def demand(self) -> int:
        return self._gateway.admission.arrived_chars

    async def _classify(self, *texts: str) -> None:
        await self._gateway.classify(self._gateway.keyed(texts), 9)

    async def __aenter__(self) -> "FullGateway":
        await self._classify("cached")
        await asyncio.sleep(0)
        self._model.free.clear()
        self._waiting = asyncio.create_task(self._classify("waits", "too"))
        while not self._gateway.coalescer.waiting:
            await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._model.free.set()
        await self._waiting
        await self._gateway.aclose()


@pytest.fixture
async def full() -> AsyncIterator[FullGateway]:
    async with FullGateway() as gateway:
        yield gateway


async def parts(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
async def test_cached_requests_are_answered_whatever_is_refused_beside_them(
    full: FullGateway, chunked: bool
) -> None:
    statuses = []
    for number in range(200):
        missing = json.dumps({"text": [f"{number:06}"]}).encode()
        refused = await full.client.post(PREDICT, content=parts(missing) if chunked else missing)
        cached = await full.client.post(PREDICT, json={"text": ["cached"]})
        statuses.append((refused.status_code, cached.status_code))
    assert set(statuses) == {(429, 200)}


async def test_a_refusal_changes_no_other_answer(full: FullGateway) -> None:
    large = {"text": ["x" * SETTINGS.max_body_bytes]}
    for _ in range(3):
        assert (await full.client.post(PREDICT, json={"text": ["new"]})).status_code == 429
        no_key = await full.client.post(
            PREDICT, json={"text": ["new"]}, headers={"authorization": "Bearer other"}
        )
        assert no_key.status_code == 401
        assert (await full.client.post(PREDICT, json={"texts": "new"})).status_code == 422
        assert (await full.client.post(PREDICT, json=large)).status_code == 413
        assert (await full.client.get("/project/health")).status_code == 200
        assert (await full.client.get("/project/info")).status_code == 200


async def test_every_refusal_is_counted_logged_and_seen_as_demand(full: FullGateway) -> None:
    before = full.demand()
    answers = Counter[int]()
    for number in range(300):
        text = "cached" if number % 3 == 0 else f"missing {number:04}"
        answers[(await full.client.post(PREDICT, json={"text": [text]})).status_code] += 1
    assert answers == {200: 100, 429: 200}
    assert full.meters.counts["sentiment_requests", "429", "overloaded"] == 200
    assert full.meters.counts["sentiment_requests", "200", "ok"] == 100
    assert full.meters.counts["sentiment_refused_texts", "overloaded"] == 200
    assert Counter(report.status for report in full.reports) == answers
    assert full.demand() - before == 200 * len("missing 0000")


async def test_a_caller_who_tries_again_is_no_new_demand(full: FullGateway) -> None:
    before = full.demand()
    for _ in range(20):
        assert (await full.client.post(PREDICT, json={"text": ["missing"]})).status_code == 429
    assert full.demand() - before == len("missing")


async def test_more_bytes_than_there_is_room_for_are_refused_clearly(serve: "Serve") -> None:
    body = b'{"text": []' + b" " * 40_000 + b"}"
    client = serve(hangs=True, max_body_bytes=50_000, max_pending_bytes=50_000)
    waiting = [asyncio.create_task(client.post(PREDICT, content=body)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await client.post(PREDICT, content=body)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["type"].endswith("overloaded")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_no_request_keeps_its_body_while_it_waits(serve: "Serve") -> None:
    space = b" " * 65_536

    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": ["a"]'
        for _ in range(30):
            yield space
        yield b"}"

    client = serve(hangs=True)
    tracemalloc.start()
    waiting = asyncio.create_task(client.post(PREDICT, content=body()))
    # Long enough to be read, and more: the model of this service never answers.
    for _ in range(300):
        await asyncio.sleep(0)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert most > 30 * len(space)
    assert held < 10 * len(space)
