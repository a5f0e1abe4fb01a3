"""A short way to the routes that most requests ask for."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.problems import on_client_disconnect, on_service_error
from serve_app.errors import ServiceError

Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """ASGI middleware that answers some POST routes itself, the router's work saved.

    Matching, FastAPI's stack of exits and Starlette's two rounds of exception handlers take a
    quarter as much time as the rest of a prediction from the cache; see docs/benchmarks.md.

    Args:
        app: The application within, which knows these routes too: what is no POST is its affair.
        endpoints: What answers, by path.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        posted = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._endpoints.get(scope["path"]) if posted else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await endpoint(request)
        except ServiceError as error:
            answer = await on_service_error(request, error)
        except ClientDisconnect as error:
            answer = await on_client_disconnect(request, error)
        await answer(scope, receive, send)
