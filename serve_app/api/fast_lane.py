"""Answers from memory, ahead of what Ray Serve does for every request.

Ray Serve makes tasks, contexts and records of each request that it hands to a gateway, which takes
longer than an answer from memory does; see docs/benchmarks.md. They let it cancel, count and
drain what takes its time, and such an answer does not.

As `serve_app.api.serve_headers`, this wraps Ray Serve's HTTP application.
"""

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from ray.serve._private.http_util import RequestIdMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.authentication import authorized
from serve_app.api.body_budget import FREE_BYTES
from serve_app.api.schemas import TextsRequest
from serve_app.api.validation import parse
from serve_app.errors import InvalidRequest
from serve_app.gateway.gateway import Gateway
from serve_app.tracing import spans

# A body that comes later than this is waited for where the request's deadline counts.
BODY_WAIT_S: Final = 1.0


class _Lane(NamedTuple):
    """What answers from memory in this process.

    Attributes:
        gateway: Knows what is in memory.
        app: The application over it, which answers.
        forms: The forms of the bodies that it takes by POST, by path.
        loop: The event loop that the gateway belongs to.
    """

    gateway: Gateway
    app: ASGIApp
    forms: Mapping[str, type[TextsRequest]]
    loop: asyncio.AbstractEventLoop

    def may_hold(self, scope: Scope) -> bool:
        """Tell whether a request is for what can be in memory."""
        return (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"] in self.forms
            and asyncio.get_running_loop() is self.loop
        )

    def holds(self, scope: Scope, first: Message) -> bool:
        """Tell whether the answer is in memory, and the client may know that."""
        body = first.get("body", b"")
        if first.get("more_body") or len(body) > FREE_BYTES:
            return False
        if not authorized(self.gateway.settings, scope):
            return False
        try:
            return self.gateway.holds(parse(self.forms[scope["path"]], body).texts)
        except InvalidRequest:
            return False


class FastLane:
    """ASGI middleware that answers from the memory of this process's gateway, if there is one.

    Args:
        app: The application within, Ray Serve's proxy or replica, which answers everything else.
    """

    _lane: ClassVar[_Lane | None] = None

    @classmethod
    def open(cls, gateway: Gateway, app: ASGIApp, forms: Mapping[str, type[TextsRequest]]) -> None:
        """Let the requests of this process take the fast lane.

        Args:
            gateway: Belongs to the running event loop.
            app: The application over it.
            forms: The forms of the bodies that it takes by POST, by path.
        """
        # Ray Serve begins a request's trace where it hands the request to the gateway.
        if not spans.ENABLED:
            loop = asyncio.get_running_loop()
            cls._lane = _Lane(gateway, RequestIdMiddleware(app), forms, loop)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        lane = self._lane
        if lane is None or not lane.may_hold(scope):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                first = await receive()
        except TimeoutError:
            await self._app(scope, receive, send)
            return
        app = lane.app if lane.holds(scope, first) else self._app
        await app(scope, _beginning_with(first, receive), send)


def _beginning_with(first: Message, receive: Receive) -> Receive:
    received = False

    async def again() -> Message:
        nonlocal received
        if received:
            return await receive()
        received = True
        return first

    return again
