from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serve_app.api.serve_headers import middlewares


def seen_headers(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.headers))


def test_only_serves_own_headers_are_taken_away() -> None:
    app = Starlette(routes=[Route("/", seen_headers)], middleware=middlewares())
    sent = {
        "X-Request-Timeout-Seconds": "1",
        "x-request-disconnect-disabled": "?1",
        "x-request-id": "mine",
    }
    with TestClient(app) as client:
        seen = client.get("/", headers=sent).json()
    assert seen["x-request-id"] == "mine"
    assert not {"x-request-timeout-seconds", "x-request-disconnect-disabled"} & set(seen)
