"""The lab, a page with live figures: `import_path: serve_app.ray_serve.lab:lab`."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.middleware import NO_SNIFF, default_headers
from serve_app.api.problems import on_error, problem
from serve_app.api.request_record import WINDOW_S, RecentFigures, middle, total
from serve_app.errors import FiguresUnavailable

PAGE: Final = Path(__file__).parents[1] / "lab" / "page"
LIFETIME_S: Final = 1.0
"""How long figures are kept, so that many open pages ask the gateways as often as one."""

SENTIMENT: Final = "sentiment"
ANSWER_TIMEOUT_S: Final = 1.0

# The page loads code, style and icon from this origin alone; the texts that it shows can become
# neither code nor markup. https://www.w3.org/TR/CSP3/
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    **NO_SNIFF,
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # The browser revalidates by ETag, so that it shows a new version at once.
    "Cache-Control": "no-cache",
}


class FiguresCache:
    """A cache of the service's figures, which asks the gateways at most once in `LIFETIME_S`.

    `ask` returns the figures of each gateway that answers.
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


def merged(gateways: Sequence[RecentFigures]) -> dict[str, Any]:
    """Return the figures of the service as JSON; None for a figure that needs requests."""
    service = total(gateways)
    return {
        "window_s": WINDOW_S,
        "requests_per_s": service.times.total() / WINDOW_S,
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


def with_slash(app: ASGIApp) -> ASGIApp:
    """Return ASGI middleware that serves `/lab` as `/lab/`.

    A redirection would need the scheme and host that the browser used.
    """

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path"):
            scope = {**scope, "path": scope["path"] + "/"}
        await app(scope, receive, send)

    return stage


def create_lab(cache: FiguresCache) -> Starlette:
    """Build the application, which needs no Ray."""

    async def live(request: Request) -> Response:
        figures = await cache.figures()
        if figures is None:
            return problem(request, FiguresUnavailable("No gateway reports its figures now."))
        return JSONResponse(figures, headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[Route("/live", live), Mount("/", StaticFiles(directory=PAGE, html=True))],
        middleware=[
            Middleware(default_headers, _HEADERS),
            Middleware(with_slash),
            Middleware(GZipMiddleware),
        ],
        exception_handlers={404: on_error, 405: on_error},
    )


@serve.ingress()
class Lab:
    """The deployment of the lab."""

    def __init__(self) -> None:
        self._gateway: DeploymentHandle[Any] | None = None

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the application that Serve hosts on this replica."""
        return create_lab(FiguresCache(self._ask))

    async def _ask(self) -> Sequence[RecentFigures]:
        """Return the figures of the gateways that answer in time."""
        try:
            if self._gateway is None:
                # This call blocks, and fails until the service is deployed.
                self._gateway = await asyncio.to_thread(
                    serve.get_deployment_handle, "Gateway", SENTIMENT
                )
            response = self._gateway.broadcast("recent")
            figures = await response.results_async(
                timeout_s=ANSWER_TIMEOUT_S, return_exceptions=True
            )
        except (RayError, RayServeException, TimeoutError):
            return []
        return [each for each in figures if isinstance(each, RecentFigures)]


lab = serve.deployment(name="Lab")(Lab).bind()
