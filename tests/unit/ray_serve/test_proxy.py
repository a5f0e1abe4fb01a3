from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.errors import ELSEWHERE, PROBLEM_JSON, RevisionMismatch
from serve_app.ray_serve.haproxy import ALLOWED_HOSTS
from serve_app.ray_serve.proxy import (
    MAX_KEPT_BYTES,
    middlewares,
    serve_errors,
    without_serve_headers,
)


class Serve:
    """Loses so many requests with their replicas, and answers the next one."""

    def __init__(self, answer: Callable[[bytes], Response], losses: int = 0) -> None:
        self.seen: list[bytes] = []
        self._answer = answer
        self._losses = losses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.seen.append(body)
        if len(self.seen) > self._losses:
            await self._answer(body)(scope, receive, send)


def ask(serve: ASGIApp, body: bytes = b"{}", path: str = "/project/predict") -> Any:
    client = TestClient(serve_errors(serve))
    return client.post(path, content=body, headers={"x-request-id": "mine"})


def echo(body: bytes) -> Response:
    return PlainTextResponse(body)


def test_a_request_that_is_lost_with_its_replica_is_made_again() -> None:
    serve = Serve(echo, losses=2)
    answer = ask(serve, b"again")
    assert (answer.status_code, answer.text) == (200, "again")
    assert serve.seen == [b"again"] * 3


@pytest.mark.parametrize(
    ("body", "attempts"), [(b"", 3), (b"x" * (MAX_KEPT_BYTES + 1), 1)], ids=["small", "large"]
)
def test_a_request_that_is_lost_for_good_is_refused_clearly(body: bytes, attempts: int) -> None:
    serve = Serve(echo, losses=9)
    answer = ask(serve, body)
    assert len(serve.seen) == attempts
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.headers["retry-after"]
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == ("mine", "mine")


@pytest.mark.parametrize(("old", "status"), [(1, 200), (9, 503)], ids=["a new one", "none"])
def test_a_request_that_another_gateway_can_answer_is_made_again(old: int, status: int) -> None:
    asked = []

    def gateways(body: bytes) -> Response:
        asked.append(body)
        if len(asked) <= old:
            return Response(
                b"{}", 503, RevisionMismatch("another").headers, media_type=PROBLEM_JSON
            )
        return echo(body)

    answer = ask(Serve(gateways), b"again")
    assert answer.status_code == status
    assert asked == [b"again"] * min(old + 1, 3)
    assert ELSEWHERE not in answer.headers


@pytest.mark.parametrize(
    ("status", "meaning"), [(404, 503), (408, 504), (429, 429), (500, 500), (503, 503)]
)
def test_serves_own_plain_errors_become_problems(status: int, meaning: int) -> None:
    def plain(_: bytes) -> Response:
        return PlainTextResponse("Request dropped", status, {"Retry-After": "7"})

    answer = ask(Serve(plain))
    assert (answer.status_code, answer.json()["status"]) == (meaning, meaning)
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.headers.get("retry-after") == ("7" if meaning in {429, 503} else None)


def test_while_ray_serve_has_no_route_yet_the_service_is_unavailable() -> None:
    def no_route(_: bytes) -> Response:
        return PlainTextResponse("Path '/project/predict' not found.", 404)

    def nothing_there(_: bytes) -> Response:
        return Response(b'{"status":404}', 404, media_type=PROBLEM_JSON)

    answer = ask(Serve(no_route))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:sentiment-serve:problem:model-unavailable"
    assert ask(Serve(nothing_there), path="/project/nothing").status_code == 404
    assert ask(Serve(no_route), path="/lab").status_code == 404


def test_problems_and_what_is_not_of_the_api_pass_as_they_are() -> None:
    def problem(_: bytes) -> Response:
        return Response(b'{"detail":"ours"}', 503, media_type=PROBLEM_JSON)

    def plain(_: bytes) -> Response:
        return PlainTextResponse("unhealthy", 503)

    assert ask(Serve(problem)).json() == {"detail": "ours"}
    assert ask(Serve(plain), path="/-/healthz").text == "unhealthy"


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


@pytest.mark.parametrize("path", ["/project/predict", "/lab", "/-/routes"])
def test_a_foreign_host_is_refused_before_anything_else_where_ours_are_known(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def unreached(_: Request) -> Response:
        raise AssertionError("the request was passed on")

    monkeypatch.setenv(ALLOWED_HOSTS, "localhost,127.0.0.1")
    app = Starlette(routes=[Route(path, unreached)], middleware=middlewares())
    with TestClient(app, base_url="http://evil.example:8000") as client:
        answer = client.get(path, headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.json()["request_id"]) == (421, "mine")
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.json()["type"] == "urn:sentiment-serve:problem:misdirected-request"


@pytest.mark.parametrize("hosts", ["", "localhost,service"])
def test_a_host_of_ours_is_passed_on(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, hosts)
    app = Starlette(routes=[Route("/", seen_headers)], middleware=middlewares())
    with TestClient(app, base_url="http://service:8000") as client:
        assert client.get("/").json()["host"] == "service:8000"


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
    await without_serve_headers(app)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [header] * kept
