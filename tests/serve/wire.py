"""HTTP as bytes on a socket, for what no client library would send."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 30.0


class Reply(NamedTuple):
    """An answer; the status is zero where the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes


CLOSED = Reply(0, {}, b"")


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as opened:
        yield opened


def send(connection: socket.socket, parts: bytes | Iterable[bytes]) -> None:
    """Send until all is sent, or the other side wants no more."""
    with suppress(ConnectionError):
        for part in [parts] if isinstance(parts, bytes) else parts:
            connection.sendall(part)


def receive(connection: socket.socket) -> Reply:
    """Read one answer."""
    answer = HTTPResponse(connection)
    try:
        answer.begin()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except (ConnectionError, HTTPException):
        return CLOSED
    finally:
        answer.close()


def ask(url: str, parts: bytes | Iterable[bytes]) -> Reply:
    """Send a request on a connection of its own, and read the answer."""
    with connected(url) as connection:
        send(connection, parts)
        return receive(connection)


def post(body: bytes, *headers: str, path: str = "/project/predict", version: str = "1.1") -> bytes:
    """Return a request's bytes."""
    lines = [f"POST {path} HTTP/{version}", "Host: service", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def chunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a request of undeclared length."""
    yield b"POST /project/predict HTTP/1.1\r\nHost: service\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunk in chunks:
        yield f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    yield b"0\r\n\r\n"
