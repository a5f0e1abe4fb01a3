import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from serve_app.ray_serve.proxy import WithoutServeHeaders, middlewares


def seen_headers(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.headers))


def test_only_serves_own_headers_are_taken_away() -> None:
    app = Starlette(routes=[Route("/", seen_headers)], middleware=middlewares())
    sent = {
        "X-Request-Timeout-Seconds": "1",
        "x-request-disconnect-disabled": "?1",
        "serve_multiplexed_model_id": "other",
        "Serve-Multiplexed-Model-Id": "other",
        "X-Session-Id": "sticky",
        "x-request-id": "mine",
    }
    with TestClient(app) as client:
        seen = client.get("/", headers=sent).json()
    assert seen["x-request-id"] == "mine"
    assert not {name for name in seen if name.lower() in map(str.lower, sent)} - {"x-request-id"}


@pytest.mark.parametrize("name", ["x-request-id", "traceparent", "tracestate"])
@pytest.mark.parametrize(
    ("value", "kept"), [(b"plain", True), ("grün".encode(), True), (b"\xff", False)]
)
async def test_what_serve_would_fail_to_decode_is_taken_away(
    name: str, value: bytes, kept: bool
) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(scope["headers"])

    header = (name.encode(), value)
    scope = {"type": "http", "headers": [header]}
    await WithoutServeHeaders(app)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [header] * kept
