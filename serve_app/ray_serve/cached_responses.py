"""A way past what Ray Serve and the application do for every request, for answers from memory.

Ray Serve makes tasks, contexts and records of each request that it hands to a gateway, and every
stage of the application its own: together they take several times as long as an answer from
memory does. They let a request be cancelled, counted, drained and cut off at its deadline, which
matters where it waits for the cache, the model or its body.

As `serve_app.ray_serve.proxy`, this wraps Ray Serve's HTTP application.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import middleware as no_sniff
from serve_app.api.formats import Dialect
from serve_app.api.middleware import FREE_BYTES, authorized
from serve_app.api.predict import DEADLINE_HEADER, MAX_DIGITS
from serve_app.api.request_record import CLIENT_LEFT, Observation, Observer, tell
from serve_app.gateway import SentimentService

# A body comes with its head or a moment later; a longer wait is Ray Serve's and the application's,
# who count the request and its deadline meanwhile.
BODY_WAIT_S: Final = 0.02
REQUEST_ID: Final = b"x-request-id"


class Lane(Protocol):
    """What answers at once."""

    @property
    def observers(self) -> Sequence[Observer]:
        """Who is told about each request that was answered."""

    def takes(self, scope: Scope) -> bool:
        """Tell, without its body, whether a request may be answered at once."""

    def answer(
        self, scope: Scope, body: bytes, noted: Observation, started: float
    ) -> Response | None:
        """Return the answer to a request whose body is whole, if there is one at once.

        Args:
            scope: The request's.
            body: Its body.
            noted: Where to note what it asks for and gets.
            started: When it came, by `time.perf_counter`.
        """


class FastLane:
    """ASGI middleware that answers at once what this process's lane can answer.

    Args:
        app: The application within, Ray Serve's proxy or replica, which answers everything else.

    Attributes:
        lane: Set once by a process that has one, as gateways do.
    """

    lane: ClassVar[Lane | None] = None

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        lane = self.lane
        if lane is None or not lane.takes(scope):
            await self._app(scope, receive, send)
            return
        started, noted = time.perf_counter(), Observation()
        first = await _first(receive)
        body = _whole_body(first) if first else None
        answer = None if body is None else lane.answer(scope, body, noted, started)
        if answer is None:
            await self._app(scope, _beginning_with(first, receive) if first else receive, send)
            return
        answer.raw_headers += [no_sniff.HEADER, (REQUEST_ID, _identified(scope))]
        status = CLIENT_LEFT
        try:
            await answer(scope, receive, send)
            status = answer.status_code
        finally:
            tell(lane.observers, scope, noted, status, started)


async def _first(receive: Receive) -> Message | None:
    """Return the first message of a request, if it comes soon."""
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            return await receive()
    except TimeoutError:
        return None


def _whole_body(first: Message) -> bytes | None:
    """Return the body of a request that has no further message."""
    whole = first["type"] == "http.request" and not first.get("more_body")
    return first.get("body", b"") if whole else None


def _beginning_with(first: Message, receive: Receive) -> Receive:
    messages = [first]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _identified(scope: Scope) -> bytes:
    """Return the request's id, which it is given where the client has sent none."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            return bytes(value)
    identity = str(uuid.uuid4()).encode()
    scope["headers"] = [*scope["headers"], (REQUEST_ID, identity)]
    return identity


# What these ask for, or what is wrong about it, is the application's affair.
SPECIAL: Final = {DEADLINE_HEADER.lower().encode(), b"content-encoding", b"origin"}


class MemoryLane:
    """Answers requests all of whose texts are in a gateway's memory; see `FastLane`.

    Args:
        service: The gateway, which belongs to the running event loop.
        dialects: What clients may ask by POST, by path.
        observers: Told about each request that is answered.
    """

    def __init__(
        self,
        service: SentimentService,
        dialects: Mapping[str, Dialect[Any]],
        observers: Sequence[Observer],
    ) -> None:
        self.observers = observers
        self._service = service
        self._dialects = dialects
        self._loop = asyncio.get_running_loop()

    def takes(self, scope: Scope) -> bool:
        """Tell whether a request asks for what can be in memory, and its client may know it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        if scope["path"] not in self._dialects or asyncio.get_running_loop() is not self._loop:
            return False
        headers, settings = dict(scope["headers"]), self._service.settings
        return (
            SPECIAL.isdisjoint(headers)
            and headers.get(REQUEST_ID, b"").isascii()
            and _declared_bytes(headers) <= min(FREE_BYTES, settings.max_body_bytes)
            and authorized(settings, scope)
        )

    def answer(
        self, scope: Scope, body: bytes, noted: Observation, started: float
    ) -> Response | None:
        """Return the answer if all of it is in memory; see `Lane.answer`."""
        dialect = self._dialects[scope["path"]]
        try:
            asked = dialect.read(body, self._service.settings)
            found = self._service.get_cached(self._service.keyed(asked.texts))
            if found is None:
                return None
            answer = dialect.answer(asked, self._service.model, found, started)
        except Exception:
            # The application meets it again, and tells the client and the log.
            return None
        noted.texts, noted.found = len(asked.texts), found
        return answer


def _declared_bytes(headers: Mapping[bytes, bytes]) -> float:
    declared = headers.get(b"content-length", b"")
    # Python refuses to read a number of thousands of digits.
    return int(declared) if declared.isdigit() and len(declared) <= MAX_DIGITS else math.inf
