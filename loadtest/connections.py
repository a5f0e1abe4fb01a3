"""Keep-alive HTTP connections that call back: no task and no future for a request."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

# A connection that has been idle for longer may be closed by its server at any moment.
IDLE_S: Final = 15.0
KEPT: Final = frozenset(
    {b"content-type", b"retry-after", b"server-timing", b"x-cache-hits", b"x-model-revision"}
)

Address = tuple[str, int]


class Request(NamedTuple):
    """A request's body, the texts in it, and further header lines, each with its line end."""

    body: bytes
    texts: Sequence[str]
    headers: bytes = b""


class Answer(NamedTuple):
    """An answer; without one, the status is zero and the error says why."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: str = ""


class _Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way.

    Args:
        idle: The connections that wait for a request; this one is added when it does.
    """

    def __init__(self, idle: list["_Connection"]) -> None:
        self.idle_since = 0.0
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._done: Callable[[Answer], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._body = b""
        self._headers: dict[str, str] = {}

    def ask(self, data: bytes, timeout_s: float, done: Callable[[Answer], None]) -> None:
        """Send a request and have `done` called with its answer."""
        self._done, self._body, self._headers = done, b"", {}
        if timeout_s < math.inf:
            self._timer = self._loop.call_later(timeout_s, self.fail, "no answer in time")
        self.transport.write(data)

    def fail(self, error: str) -> None:
        """Close the connection; a request under way is answered with the error."""
        self.transport.abort()
        self._finish(Answer(0, {}, b"", error))

    def drop(self) -> None:
        """Close the connection; a request under way gets no answer."""
        self._done = None
        if self._timer:
            self._timer.cancel()
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by inheritance.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        self._finish(Answer(0, {}, b"", f"the connection was closed: {exc or 'by the server'}"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._done or not self._parser.should_keep_alive():
            self.transport.close()
        else:
            self.idle_since = self._loop.time()
            self._idle.append(self)
        self._finish(Answer(self._parser.get_status_code(), self._headers, self._body))

    def _finish(self, answer: Answer) -> None:
        done, self._done = self._done, None
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if done:
            done(answer)


class _HeaderConnection(_Connection):
    """A connection that keeps headers, at some cost for each."""

    def on_header(self, name: bytes, value: bytes) -> None:
        if (name := name.lower()) in KEPT:
            self._headers[name.decode()] = value.decode("latin-1")


class Client:
    """Keep-alive connections to any number of servers.

    Args:
        headers: Whether answers have their headers.
    """

    def __init__(self, *, headers: bool) -> None:
        self._kind = _HeaderConnection if headers else _Connection
        self._idle: dict[Address, list[_Connection]] = defaultdict(list)
        self._made: list[_Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def send(
        self, url: str, request: Request, timeout_s: float, done: Callable[[Answer], None]
    ) -> None:
        """Send a request, on a new connection where none is idle, and have `done` called."""
        address, head = _target(url)
        body, _, headers = request
        data = b"%b%bContent-Length: %d\r\n\r\n%b" % (head, headers, len(body), body)
        idle = self._idle[address]
        while idle:
            connection = idle.pop()
            if self._loop.time() - connection.idle_since < IDLE_S:
                connection.ask(data, timeout_s, done)
                return
            connection.transport.abort()
        connecting = asyncio.ensure_future(self._connect(address, data, timeout_s, done))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def close(self) -> None:
        """Close all connections; requests under way get no answer."""
        for connecting in self._connecting:
            connecting.cancel()
        for connection in self._made:
            connection.drop()

    async def _connect(
        self, address: Address, data: bytes, timeout_s: float, done: Callable[[Answer], None]
    ) -> None:
        loop, idle = self._loop, self._idle[address]
        due = loop.time() + timeout_s
        try:
            async with asyncio.timeout(timeout_s if timeout_s < math.inf else None):
                _, connection = await loop.create_connection(lambda: self._kind(idle), *address)
        except OSError as error:  # TimeoutError is one
            done(Answer(0, {}, b"", f"no connection: {error or 'not in time'}"))
            return
        self._made = [each for each in self._made if not each.transport.is_closing()]
        self._made.append(connection)
        connection.ask(data, due - loop.time(), done)


@lru_cache
def _target(url: str) -> tuple[Address, bytes]:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    return (
        (parts.hostname or "127.0.0.1", parts.port or 80),
        f"{head}Content-Type: application/json\r\n".encode(),
    )
