"""What the ledger of `make chaos` lets pass, and what it does not."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.chaos.generator import Generator, Stream
from tests.chaos.traffic import counts

KNOWN = {"first": {"good": 2.0}, "second": {"good": -1.0}}
PROBLEM = "application/problem+json"


def prediction(margin: float) -> web.Response:
    positive = 1 / (1 + 2.718281828459045**-margin)
    scores = [
        {"label": "POSITIVE", "score": positive},
        {"label": "NEGATIVE", "score": 1 - positive},
    ]
    return web.json_response({"predictions": [scores]}, headers={"X-Model-Revision": "first"})


def problem(status: int, **headers: str) -> web.Response:
    body = json.dumps({"status": status})
    return web.Response(status=status, text=body, content_type=PROBLEM, headers={**headers})


ANSWERS = {
    "right": lambda: prediction(2.0),
    "of another model": lambda: prediction(-1.0),
    "refused": lambda: problem(429, **{"Retry-After": "1"}),
    "refused without a time": lambda: problem(429),
    "failed": lambda: problem(500),
    "in plain text": lambda: web.Response(status=503, text="unavailable"),
}


async def answer(request: web.Request) -> web.StreamResponse:
    how = request.match_info["how"]
    if how in ANSWERS:
        return ANSWERS[how]()
    assert request.transport
    request.transport.abort()
    return web.Response()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{how}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("right", "right"),
        ("of another model", "wrong"),
        ("refused", "refused"),
        ("refused without a time", "wrong"),
        ("failed", "wrong"),
        ("in plain text", "wrong"),
        ("cut off", "broken"),
    ],
)
async def test_an_answer_is_right_refused_broken_or_wrong(url: str, how: str, kind: str) -> None:
    async with aiohttp.ClientSession() as session:
        generator = Generator(f"{url}/{how}", KNOWN, session)
        await generator._request(Stream("one", 1, 1))
    assert [record.kind for record in generator.records] == [kind]
    assert counts(generator.records).clean == (kind in {"right", "refused"})
