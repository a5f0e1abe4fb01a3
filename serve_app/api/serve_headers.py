"""Takes from clients the headers by which they could change how Ray Serve treats their request.

Ray Serve loads this where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names it, as the
configuration files do.
"""

from typing import Final

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.fast_lane import FastLane
from serve_app.api.serve_errors import ServeErrors

# The first sets a timeout that ends in plain text, the second hides that a client has left.
SERVE_HEADERS: Final = {b"x-request-timeout-seconds", b"x-request-disconnect-disabled"}


class WithoutServeHeaders:
    """ASGI middleware that passes requests on without these headers.

    Args:
        app: The application within, Ray Serve's proxy or replica.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            kept = [(name, value) for name, value in scope["headers"] if name not in SERVE_HEADERS]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return what Ray Serve is to wrap its HTTP application in, outermost last."""
    return [Middleware(WithoutServeHeaders), Middleware(ServeErrors), Middleware(FastLane)]
