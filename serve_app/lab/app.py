"""The HTTP application of the lab: a page and live figures."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

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
from serve_app.api.request_record import WINDOW_S, RecentFigures, middle, total
from serve_app.errors import FiguresUnavailable

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


LIFETIME_S: Final = 1.0
"""How long figures are kept, so that many open pages ask the gateways as often as one."""


def merged(gateways: Sequence[RecentFigures]) -> dict[str, Any]:
    """Return the figures of the service as JSON; None for a figure that needs requests."""
    service = total(gateways)
    return {
        "window_s": WINDOW_S,
        "requests_per_s": service.answered / WINDOW_S,
        "texts_per_s": service.texts / WINDOW_S,
        "refused_per_s": service.refused / WINDOW_S,
        "p50_ms": quantile_ms(service.times, 0.5),
        "p99_ms": quantile_ms(service.times, 0.99),
        "hit_ratio": service.hits / service.texts if service.texts else None,
        "replicas": {"gateway": len(gateways), "classifier": service.classifiers},
    }


def quantile_ms(times: Counter[int], q: float) -> float | None:
    """Return the time in milliseconds that a share `q` of the requests did not exceed."""
    rank = math.ceil(q * times.total())
    for index in sorted(times):
        rank -= times[index]
        if rank <= 0:
            return round(middle(index) * 1000, 3)
    return None


class FiguresCache:
    """A cache of the service's figures, which asks the gateways at most once in `LIFETIME_S`.

    Args:
        ask: Returns the figures of each gateway that answers.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[RecentFigures]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = asyncio.Lock()
        self._figures: dict[str, Any] | None = None
        self._asked_at = -math.inf

    async def figures(self) -> dict[str, Any] | None:
        """Return the service's figures; None if no gateway answers."""
        async with self._asking:
            if self._clock() - self._asked_at >= LIFETIME_S:
                gateways = await self._ask()
                self._figures = merged(gateways) if gateways else None
                self._asked_at = self._clock()
            return self._figures


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
