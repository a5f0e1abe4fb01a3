"""The HTTP application of the lab: a page and live figures."""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.problems import on_error, problem
from serve_app.errors import FiguresUnavailable
from serve_app.lab.live import FiguresCache

PAGE: Final = Path(__file__).parent / "page"

# The page loads code, style and icon from this origin alone; the texts that it shows can become
# neither code nor markup. https://www.w3.org/TR/CSP3/
_CONTENT_SECURITY_POLICY: Final = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))  # fmt: skip
HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class LabHeaders:
    """ASGI middleware that protects the page, and serves it at `/lab` as at `/lab/`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the answer of `app`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == scope.get("root_path"):
            # A redirection would need the scheme and host that the browser used.
            scope = {**scope, "path": scope["path"] + "/"}

        async def protected_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # The browser revalidates by ETag, so that it shows a new version at once.
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, protected_send)


def create_lab(cache: FiguresCache) -> Starlette:
    """Build the application."""

    async def live(request: Request) -> Response:
        figures = await cache.figures()
        if figures is None:
            return problem(request, FiguresUnavailable("No gateway reports its figures now."))
        return JSONResponse(figures, headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[Route("/live", live), Mount("/", StaticFiles(directory=PAGE, html=True))],
        middleware=[Middleware(LabHeaders), Middleware(GZipMiddleware)],
        exception_handlers={404: on_error, 405: on_error},
    )
