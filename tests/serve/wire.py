"""HTTP as bytes on a socket, for what no client library would send."""

import io
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 30.0
DRIBBLE_S = 0.2


class Reply(NamedTuple):
    """An answer; the status is zero where the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes


CLOSED = Reply(0, {}, b"")


class _Answers(io.BufferedReader):
    """What comes in on a connection: the next answer may be in it when one is read."""

    def close(self) -> None:
        """Stay open for the next answer."""


class Connection(socket.socket):
    """A connection whose answers are read one after the other."""

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self.settimeout(PATIENCE_S)
        try:
            self.connect((parts.hostname, parts.port))
        except OSError:
            self.close()
            raise
        self._answers = _Answers(socket.SocketIO(self, "r"))

    def makefile(self, *_: Any, **__: Any) -> _Answers:  # type: ignore[override]
        return self._answers

    def send_all(self, parts: bytes | Iterable[bytes]) -> None:
        """Send until all is sent, or the other side wants no more."""
        with suppress(ConnectionError):
            for part in [parts] if isinstance(parts, bytes) else parts:
                self.sendall(part)

    def dribble(self) -> None:
        """Send a byte now and then, until there is an answer."""
        while not select.select([self], [], [], DRIBBLE_S)[0]:
            self.send_all(b" ")

    def receive(self) -> Reply:
        """Read one answer."""
        answer = HTTPResponse(self)
        try:
            answer.begin()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read())
        except (ConnectionError, HTTPException):
            return CLOSED


def ask(url: str, parts: bytes | Iterable[bytes]) -> Reply:
    """Send a request on a connection of its own, and read the answer."""
    with Connection(url) as connection:
        connection.send_all(parts)
        return connection.receive()


def post(body: bytes, *headers: str, path: str = "/project/predict", version: str = "1.1") -> bytes:
    """Return a request's bytes."""
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def chunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a request of undeclared length."""
    yield b"POST /project/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunk in chunks:
        yield f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    yield b"0\r\n\r\n"
