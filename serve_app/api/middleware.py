"""The application's ASGI stages, and the check of API keys that endpoints call."""

from functools import lru_cache
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app import api_keys
from serve_app.api.openapi import header_components
from serve_app.api.problems import on_error
from serve_app.errors import Unauthorized
from serve_app.gateway import SentimentService
from serve_app.settings import GatewaySettings

# https://fetch.spec.whatwg.org/#x-content-type-options-header
NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")


class NoSniff:
    """ASGI middleware that keeps browsers from guessing an answer's type.

    Answers may hold texts of users.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and mark its answer."""

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], NO_SNIFF]
            await send(message)

        await self._app(scope, receive, marked_send)


class CrossOrigin:
    """ASGI middleware that grants CORS to the origins of the settings.

    Starlette's own middleware fixes the origins and refuses others in plain text. Here the origins
    may change while the service runs, and a request of another origin is answered like any
    request: its browser keeps the answer from the page.

    Args:
        app: The next stage.
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
            # Cookies are never allowed, so a page gains nothing that its server could not ask for.
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(header_components()),
        )


class UnexpectedErrors:
    """ASGI middleware that answers an unexpected error with a problem of status 500.

    Starlette's own raises the error again, and the server would log its message, which may quote
    a user's text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def observed_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except Exception as error:
            if started:
                raise
            response = await on_error(Request(scope), error)
            await response(scope, receive, send)


def check_key(settings: GatewaySettings, scope: Scope) -> None:
    """Refuse a request without a known API key, where the settings name keys (RFC 6750).

    Raises:
        Unauthorized: The request has no key, or an unknown one.
    """
    if settings.api_keys:
        key = _bearer_token(scope)
        if not api_keys.accepts(settings.api_keys, key):
            problem = "This API key is not known." if key else "An API key is needed."
            raise Unauthorized(f"{problem} Send `Authorization: Bearer KEY`.")


def _bearer_token(scope: Scope) -> bytes:
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    # Starlette decodes headers as latin-1, which gives every byte back.
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
