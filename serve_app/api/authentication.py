"""Who may ask: bearer tokens (RFC 6750), where the configuration names API keys."""

from collections.abc import Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.problems import problem
from serve_app.api_keys import accepts
from serve_app.errors import Unauthorized
from serve_app.gateway.service import SentimentService
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
