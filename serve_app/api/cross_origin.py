"""Which web pages of other origins may ask: none, unless the configuration names them."""

from functools import lru_cache

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.responses import header_components
from serve_app.gateway.service import SentimentService


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
