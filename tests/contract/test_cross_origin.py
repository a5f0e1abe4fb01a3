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
    assert preflight.status_code == 405
    assert preflight.headers["content-type"] == "application/problem+json"
    assert answer.status_code == 200
    for each in (preflight, answer):
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
