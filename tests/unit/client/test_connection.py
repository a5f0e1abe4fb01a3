"""What the client says of surroundings that are not as they should be."""

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from serve_app.client import (
    ConnectionFailed,
    RetryPolicy,
    SentimentError,
    StatusError,
    UnexpectedAnswer,
)
from serve_app.client.connection import connection_failed
from tests.contract.server import serving

if TYPE_CHECKING:
    from tests.unit.client.conftest import Predict

ONCE = RetryPolicy(retries=0)
MANY = RetryPolicy(retries=1000, base_s=0.0)
ELSEWHERE = "http://service.example"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer every connection to a port of this machine."""

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with closing(connection):
                try:
                    answer(connection)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def sends(content: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(content)

    return answer


def refusal(predict: "Predict", url: str, retry: RetryPolicy = ONCE) -> SentimentError:
    """Return the error, which is one line, of a call that has to fail."""
    with pytest.raises(SentimentError) as caught:
        predict(url, ["a"], retry=retry, deadline_s=20)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context, with a certificate that it has signed itself for localhost."""
    key, certificate = (tmp_path_factory.mktemp("tls") / name for name in ("key", "certificate"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def test_tls_that_does_not_fit_is_named_with_what_to_do(
    predict: "Predict", tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = tls

    def speak_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with raw_server(speak_tls) as port:
        assert "https://" in refusal(predict, f"http://127.0.0.1:{port}").hint
        unknown = refusal(predict, f"https://localhost:{port}", MANY)
        assert "certificate verify failed" in str(unknown)
        assert "$SSL_CERT_FILE" in unknown.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert isinstance(refusal(predict, f"https://localhost:{port}"), UnexpectedAnswer)
        assert "name that its certificate has" in refusal(predict, f"https://127.0.0.1:{port}").hint
    with raw_server(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert "use http://" in refusal(predict, f"https://127.0.0.1:{port}", MANY).hint


def test_a_server_that_answers_with_something_else_than_http_is_named(predict: "Predict") -> None:
    with raw_server(sends(b"\x15\x03\x01\x00\x02\x01\x50 SSH-2.0\r\n")) as port:
        assert "does not speak HTTP" in refusal(predict, f"http://127.0.0.1:{port}", MANY).hint


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_certificate_that_is_not_there_is_named(
    predict: "Predict", monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv(variable, str(missing))
    assert f"${variable} names {missing}" in str(refusal(predict, "https://localhost:9"))
    # Nothing needs a certificate here.
    assert "no answer from http://localhost:9" in str(refusal(predict, "http://localhost:9"))


def test_a_certificate_file_of_another_form_is_named(
    predict: "Predict", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "certificate").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
    assert "PEM" in refusal(predict, "https://localhost:9").hint


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://a.localhost:9"]
)
def test_this_machine_is_not_asked_through_a_proxy(
    predict: "Predict", monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert isinstance(refusal(predict, url), ConnectionFailed)
    answer = sends(b"HTTP/1.1 418 I am a proxy\r\ncontent-length: 0\r\n\r\n")
    monkeypatch.delenv("ALL_PROXY")
    with raw_server(answer) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        assert isinstance(refusal(predict, url), ConnectionFailed)
        assert isinstance(refusal(predict, ELSEWHERE), StatusError)


@pytest.mark.parametrize(
    ("status", "said"), [("407 Proxy Authentication Required", "a user"), ("403 No", "$NO_PROXY")]
)
def test_a_proxy_that_refuses_is_told_apart_from_the_service(
    predict: "Predict", monkeypatch: pytest.MonkeyPatch, status: str, said: str
) -> None:
    with raw_server(sends(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        refused = refusal(predict, "https://service.example", MANY)
        assert status in str(refused)
        assert said in refused.hint
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        assert refusal(predict, ELSEWHERE).hint or status.startswith("403")


def test_a_redirect_is_not_followed_but_named(predict: "Predict") -> None:
    def redirect(_: object) -> Response:
        return Response(status_code=308, headers={"Location": "https://service.example/project"})

    with serving(Starlette(routes=[Route("/{path:path}", redirect)])) as url:
        error = refusal(predict, url)
    assert "308 Redirect: to https://service.example/project" in str(error)
    assert "address that it leads to" in error.hint


LIMITS = {
    "max_texts": 5, "max_chars": 40, "max_body_bytes": 999, "max_tokens": 9, "deadline_s": 3.0,
}  # fmt: skip
INFO = {
    "model": "m", "revision": "r", "digest": "d", "engine": "e", "labels": ["a"],
    "versions": {}, "limits": LIMITS,
}  # fmt: skip


_NOT_PREDICTIONS: Final[tuple[Any, ...]] = (
    [], [[]], [5], {"a": 1}, [["a"]], [[{"label": "a"}]], None,
)  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"<html>\x1b[31mhello",
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps(INFO | {"limits": LIMITS | {"max_texts": "many"}}).encode(),
        json.dumps(INFO | {"limits": LIMITS | {"max_chars": 0}}).encode(),
        json.dumps(INFO | {"limits": [1]}).encode(),
        *(
            json.dumps(INFO | {"predictions": predictions}).encode()
            for predictions in _NOT_PREDICTIONS
        ),
    ],
)
def test_an_answer_of_another_form_is_named_and_not_repeated_to_a_terminal(
    predict: "Predict", body: bytes
) -> None:
    with serving(
        Starlette(routes=[Route("/{path:path}", lambda _: Response(body), methods=["GET", "POST"])])
    ) as url:
        error = refusal(predict, url)
    assert isinstance(error, UnexpectedAnswer)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("status", [400, 404, 502])
def test_a_page_of_an_error_is_quoted_on_one_line(predict: "Predict", status: int) -> None:
    page = Response("<html>\n<p>The plain HTTP request was sent to an HTTPS port\x1b[0m", status)
    with serving(Starlette(routes=[Route("/{path:path}", lambda _: page)])) as url:
        error = refusal(predict, url)
    assert isinstance(error, StatusError)
    assert "<html> <p>The plain HTTP request" in str(error)
    assert ("https://" in error.hint) == (status == 400)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("kind", [httpx2.LocalProtocolError, httpx2.UnsupportedProtocol])
def test_a_request_that_can_never_be_sent_is_not_repeated(
    predict: "Predict", monkeypatch: pytest.MonkeyPatch, kind: type[httpx2.TransportError]
) -> None:
    attempts: list[object] = []

    def fail(*arguments: object, **_: object) -> None:
        attempts.append(arguments)
        raise kind("Illegal header value")

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", fail)
    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", fail)
    assert "Illegal header value" in str(refusal(predict, "http://localhost:9", MANY))
    assert len(attempts) == 1


def test_a_connection_that_breaks_may_succeed_later() -> None:
    for error in (httpx2.ReadError("reset"), httpx2.ConnectError("refused"), TimeoutError()):
        assert not connection_failed(error, "http://localhost", "id").final
