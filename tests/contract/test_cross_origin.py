from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from serve_app.api_keys import hash_of

if TYPE_CHECKING:
    from tests.contract.conftest import Serve

PREDICT = "/project/predict"
PAGE = "https://page.example"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("origins", [[], ["https://other.example"]])
async def test_no_page_may_ask_unless_its_origin_is_configured(
    serve: "Serve", origins: list[str]
) -> None:
    client = serve(cors_origins=origins)
    preflight = await client.options(PREDICT, headers=PREFLIGHT)
    answer = await client.post(PREDICT, json={"text": []}, headers={"origin": PAGE})
    assert (preflight.status_code, answer.status_code) == (405, 403)
    assert answer.json()["type"] == "urn:sentiment-serve:problem:cross-origin-request"
    for each in (preflight, answer):
        assert each.headers["content-type"] == "application/problem+json"
        assert not [name for name in each.headers if name.startswith("access-control")]


@pytest.mark.parametrize(("origins", "granted"), [([PAGE], PAGE), (["*"], "*")])
async def test_a_configured_origin_may_ask_with_its_key_and_read_every_header(
    serve: "Serve", origins: list[str], granted: str
) -> None:
    client = serve(cors_origins=origins, api_keys=[hash_of(b"key")])
    preflight = await client.options(PREDICT, headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == granted
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    refused = await client.post(PREDICT, json={"text": []}, headers={"origin": PAGE})
    asked = await client.post(
        PREDICT, json={"text": []}, headers={"origin": PAGE, "authorization": "Bearer key"}
    )
    assert (refused.status_code, asked.status_code) == (401, 200)
    for answer in (refused, asked):
        assert answer.headers["access-control-allow-origin"] == granted
        assert "access-control-allow-credentials" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"X-Request-ID", "X-Truncated", "Retry-After"} <= set(exposed)


@pytest.mark.parametrize("path", [PREDICT, "/project/bulk-predict", "/project"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": PAGE},
        {"origin": "null"},
        {"origin": "http://service:8001"},
        {"origin": "https://service.page.example"},
        {"origin": "http://["},
        {"origin": "", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://service:8001"},
        {"sec-fetch-site": "cross-site", "origin": "http://service"},
        {"origin": PAGE, "content-type": "text/plain"},
    ],
    ids=str,
)
async def test_a_page_of_another_origin_makes_no_work(
    serve: "Serve", path: str, headers: dict[str, str]
) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await serve().post(path, content=body(), headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://service"},
        {"origin": "http://service:80"},
        {"origin": "https://service"},
        {"sec-fetch-site": "none"},
        # Behind a gateway that has changed the host.
        {"sec-fetch-site": "same-origin", "origin": "https://public.example"},
    ],
    ids=str,
)
async def test_programs_and_pages_of_the_service_may_ask(
    serve: "Serve", headers: dict[str, str]
) -> None:
    client = serve()
    for _ in ("computed", "remembered"):
        answer = await client.post(PREDICT, json={"text": ["a"]}, headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{"origin": PAGE}, {"sec-fetch-site": "cross-site"}])
async def test_a_page_of_another_origin_gets_nothing_from_memory(
    serve: "Serve", headers: dict[str, str]
) -> None:
    client = serve()
    assert (await client.post(PREDICT, json={"text": ["a"]})).status_code == 200
    answer = await client.post(PREDICT, json={"text": ["a"]}, headers=headers)
    assert answer.status_code == 403
