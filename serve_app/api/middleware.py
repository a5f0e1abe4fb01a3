"""Who may ask: bearer tokens (RFC 6750), where the configuration names API keys."""

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.openapi import header_components
from serve_app.api.problems import problem
from serve_app.api_keys import accepts
from serve_app.errors import Overloaded, Unauthorized
from serve_app.gateway import SentimentService
from serve_app.settings import GatewaySettings


class Authenticated:
    """ASGI middleware that lets only requests with a known API key pass.

    Args:
        app: The application within.
        service: Its settings name the keys; without any, every request passes.
        open_paths: Paths that need no key. Every other one does, whether it exists or not.
    """

    def __init__(
        self, app: ASGIApp, service: SentimentService, open_paths: Collection[str]
    ) -> None:
        self._app = app
        self._service = service
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it before a byte of its body is read."""
        closed = scope["type"] == "http" and scope["path"] not in self._open_paths
        if closed and not authorized(self._service.settings, scope):
            request = Request(scope)
            key = bearer_token(request)
            wrong = "This API key is not known." if key else "An API key is needed."
            error = Unauthorized(f"{wrong} Send `Authorization: Bearer KEY`.")
            await problem(request, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def authorized(settings: GatewaySettings, scope: Scope) -> bool:
    """Tell whether a request carries a known API key, or none is asked for."""
    hashes = settings.api_keys
    return not hashes or accepts(hashes, bearer_token(Request(scope)))


def bearer_token(request: Request) -> bytes:
    """Return the token that a request carries, empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    # Starlette decodes headers as latin-1, which gives every byte back.
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


# Of each body, so much is not counted: large ones that stall do not keep small requests out, whose
# number Ray bounds (`max_ongoing_requests`), but for the 20 ms that they may be in the fast lane.
FREE_BYTES: Final = 16 * 1024


class BodyBudget:
    """ASGI middleware that counts the bytes of bodies from their arrival to the request's end.

    Args:
        app: The application within. Its `receive` raises `Overloaded` beyond the budget.
        service: Its settings have the budget, `max_pending_bytes`.

    Attributes:
        pending: Bytes that are counted now.
    """

    def __init__(self, app: ASGIApp, service: SentimentService) -> None:
        self.pending = 0
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        received = charged = 0

        async def counted_receive() -> Message:
            nonlocal received, charged
            message = await receive()
            received += len(message.get("body", b""))
            more = max(0, received - FREE_BYTES) - charged
            if more:
                if self.pending + more > self._service.settings.max_pending_bytes:
                    raise Overloaded("The bodies of other requests take all the room there is.")
                self.pending += more
                charged += more
            return message

        try:
            await self._app(scope, counted_receive, send)
        finally:
            self.pending -= charged


class CrossOrigin:
    """ASGI middleware that grants what CORS asks to the origins of the settings.

    Starlette's own, but with origins that may change while the service runs, and without its
    refusals in plain text: a foreign origin is answered like anyone, and its browser keeps the
    answer from the page.

    Args:
        app: The application within.
        service: Its settings name the origins.
    """

    def __init__(self, app: ASGIApp, service: SentimentService) -> None:
        self._app = app
        self._service = service
        self._granting = lru_cache(1)(self._grant)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        origins = self._service.settings.cors_origins
        app = self._app
        if origins and scope["type"] == "http":
            origin = Headers(scope=scope).get("origin")
            if origin in origins or (origin and "*" in origins):
                app = self._granting(origins)
        await app(scope, receive, send)

    def _grant(self, origins: tuple[str, ...]) -> ASGIApp:
        return CORSMiddleware(
            self._app,
            allow_origins=origins,
            # Methods and headers are the routes' own affair: with cookies never allowed, a page
            # gains nothing that its server could not ask for.
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(header_components()),
        )


# https://fetch.spec.whatwg.org/#x-content-type-options-header
HEADER: Final = (b"x-content-type-options", b"nosniff")


class NoSniff:
    """ASGI middleware that marks every answer: texts of users may be part of one.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], HEADER]
            await send(message)

        await self._app(scope, receive, marked_send)
