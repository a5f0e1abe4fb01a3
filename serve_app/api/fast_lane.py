"""Answers from memory, ahead of what Ray Serve and this application do for every request.

Ray Serve makes tasks, contexts and records of each request that it hands to a gateway, and every
stage of the application its own: together they take several times as long as an answer from
memory does. They let a request be cancelled, counted, drained and cut off at its deadline, which
matters where it waits for something; this one does not.

As `serve_app.api.serve_headers`, this wraps Ray Serve's HTTP application.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api import no_sniff
from serve_app.api.authentication import authorized
from serve_app.api.body_budget import FREE_BYTES
from serve_app.api.deadline import DEADLINE_HEADER
from serve_app.api.dialect import Dialect
from serve_app.api.report import Observation, Observer, report_of
from serve_app.errors import ServiceError
from serve_app.gateway.gateway import Gateway
from serve_app.tracing import spans

# A body that comes later than this is waited for where the request's deadline counts.
BODY_WAIT_S: Final = 1.0
# What these ask for, or what is wrong about it, is the application's affair.
SPECIAL: Final = {DEADLINE_HEADER.lower().encode(), b"content-encoding", b"origin"}
REQUEST_ID: Final = b"x-request-id"


class _Lane(NamedTuple):
    """What answers from memory in this process.

    Attributes:
        gateway: Has the memory.
        dialects: What clients may ask, by path.
        observers: Told about each answer.
        loop: The event loop that the gateway belongs to.
    """

    gateway: Gateway
    dialects: Mapping[str, Dialect[Any]]
    observers: Sequence[Observer]
    loop: asyncio.AbstractEventLoop

    def may_have(self, scope: Scope) -> bool:
        """Tell whether a request asks for what can be in memory."""
        return (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"] in self.dialects
            and not any(name in SPECIAL for name, _ in scope["headers"])
            and asyncio.get_running_loop() is self.loop
        )

    def answer(
        self, scope: Scope, first: Message, noted: Observation, started: float
    ) -> Response | None:
        """Return the answer to a request if it is in memory and the client may have it.

        Args:
            scope: The request's.
            first: The first message of its body.
            noted: Where to note what it asks for and gets.
            started: When it came, by `time.perf_counter`.
        """
        gateway, body = self.gateway, first.get("body", b"")
        settings = gateway.settings
        if first.get("more_body") or len(body) > FREE_BYTES or not authorized(settings, scope):
            return None
        dialect = self.dialects[scope["path"]]
        try:
            asked = dialect.read(body, settings)
            if (found := gateway.recall(asked.texts)) is None:
                return None
            answer = dialect.answer(asked, gateway.model, found, started)
        except ServiceError:
            return None
        noted.texts, noted.found = len(asked.texts), found
        return answer


class FastLane:
    """ASGI middleware that answers from the memory of this process's gateway, if there is one.

    Args:
        app: The application within, Ray Serve's proxy or replica, which answers everything else.
    """

    _lane: ClassVar[_Lane | None] = None

    @classmethod
    def open(
        cls, gateway: Gateway, dialects: Mapping[str, Dialect[Any]], observers: Sequence[Observer]
    ) -> None:
        """Let the requests of this process take the fast lane.

        Args:
            gateway: Belongs to the running event loop.
            dialects: What clients may ask by POST, by path.
            observers: Told about each request that is answered.
        """
        # Ray Serve begins a request's trace where it hands the request to the gateway.
        if not spans.ENABLED:
            cls._lane = _Lane(gateway, dialects, observers, asyncio.get_running_loop())

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        lane = self._lane
        if lane is None or not lane.may_have(scope):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                first = await receive()
        except TimeoutError:
            await self._app(scope, receive, send)
            return
        noted = Observation()
        answer = lane.answer(scope, first, noted, started)
        if answer is None:
            await self._app(scope, _beginning_with(first, receive), send)
            return
        answer.raw_headers += [no_sniff.HEADER, (REQUEST_ID, _request_id(scope))]
        await answer(scope, receive, send)
        report = report_of(scope, noted, answer.status_code, time.perf_counter() - started)
        for observer in lane.observers:
            observer(report)


def _request_id(scope: Scope) -> bytes:
    """Return the request's id, which it is given where the client has sent none."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            return bytes(value)
    identity = str(uuid.uuid4()).encode()
    scope["headers"] = [*scope["headers"], (REQUEST_ID, identity)]
    return identity


def _beginning_with(first: Message, receive: Receive) -> Receive:
    received = False

    async def again() -> Message:
        nonlocal received
        if received:
            return await receive()
        received = True
        return first

    return again
