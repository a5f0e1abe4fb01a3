"""Takes from clients the headers by which they could change how Ray Serve treats their request.

Some would be read by it and fail: it decodes them, and takes what is no UTF-8 for its own fault.

Ray Serve loads this where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names it, as the
configuration files do.
"""

from typing import Final

from ray.serve._private.constants import SERVE_SESSION_ID
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.fast_lane import FastLane
from serve_app.api.serve_errors import ServeErrors

# The first sets a timeout that ends in plain text, the second hides that a client has left, the
# others are for ways of routing that this service has not.
SERVE_HEADERS: Final = {
    b"x-request-timeout-seconds",
    b"x-request-disconnect-disabled",
    b"serve-multiplexed-model-id",
    SERVE_SESSION_ID.lower().replace("_", "-").encode(),
}
READ_BY_SERVE: Final = {b"x-request-id", b"traceparent", b"tracestate"}


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
            kept = [header for header in scope["headers"] if _is_harmless(*header)]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def _is_harmless(name: bytes, value: bytes) -> bool:
    # Serve takes either sign for the other in some names.
    plain = name.replace(b"_", b"-")
    if plain in READ_BY_SERVE:
        return _is_text(value)
    return plain not in SERVE_HEADERS


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def middlewares() -> list[Middleware]:
    """Return what Ray Serve is to wrap its HTTP application in, outermost last."""
    return [Middleware(WithoutServeHeaders), Middleware(ServeErrors), Middleware(FastLane)]
