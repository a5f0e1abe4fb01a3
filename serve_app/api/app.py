"""The HTTP application: its routes, and the pages that answer `GET`; it does not import Ray."""

import platform
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from serve_app.api import middleware
from serve_app.api.formats import PREDICTIONS
from serve_app.api.openapi import document
from serve_app.api.predict import BodyBudget, PredictEndpoint, deadline
from serve_app.api.problems import on_error, problem
from serve_app.api.request_record import Observer
from serve_app.api.schemas import Health, Info, Limits, Ready
from serve_app.errors import NO_REPLICA, ModelUnavailable, ServiceError, Unauthorized
from serve_app.gateway import SentimentService

DOCUMENT: Final = "/project/openapi.json"
DOCS_PATH: Final = "/project/docs"

# Scripts, styles and requests come from and go to this origin alone, and no script is within the
# page. Swagger UI has its icons in its style sheet.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURE: Final = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}
_DOCS: Final = Path(__file__).parent / "docs"
_SWAGGER_UI: Final = Path(str(files("fastapi_swagger") / "resources"))


async def health(_: SentimentService, __: Request) -> Response:
    """Answer as long as the process can."""
    return _json(Health())


async def ready(service: SentimentService, request: Request) -> Response:
    """Answer 200 when a prediction would succeed now, else 503 with the parts' states."""
    async with deadline(service.settings.deadline_s):
        state = await service.readiness()
    if state.model == "unavailable":
        error = ModelUnavailable(NO_REPLICA)
        stated = {name: value for name, value in state._asdict().items() if value}
        return problem(request, error, **stated)
    return _json(Ready(cache=state.cache, cache_problem=state.cache_problem or None))


async def info(service: SentimentService, request: Request) -> Response:
    """Answer with what a client may want to know before it sends texts, if its API key is known."""
    model, settings = service.model, service.settings
    middleware.check_key(settings, request.scope)
    answer = Info(
        model=model.model_id,
        revision=model.revision,
        digest=model.digest,
        engine=service.engine,
        labels=list(model.labels),
        limits=Limits.of(settings, model.max_tokens),
        versions=versions(),
    )
    return _json(answer)


@cache
def versions() -> dict[str, str]:
    """Return the versions of what scores can depend on."""
    packages = ("sentiment-serve", "ray", "onnxruntime")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(exclude_none=True), media_type="application/json")


STATES: Final = {"/project/health": health, "/project/ready": ready, "/project/info": info}
"""The pages that tell the state of a service, by path."""

DOCS: Final[dict[str, ASGIApp]] = {
    DOCUMENT: JSONResponse(document()),
    DOCS_PATH: FileResponse(_DOCS / "index.html", headers=_SECURE),
    **{
        f"{DOCS_PATH}/{path.name}": FileResponse(path, headers=_CACHED)
        for path in (
            _DOCS / "start.js",
            _SWAGGER_UI / "swagger-ui-bundle.js",
            _SWAGGER_UI / "swagger-ui.css",
            _SWAGGER_UI / "favicon-32x32.png",
        )
    },
}
"""The pages of the documentation, by path."""

# Probes carry no keys, and a browser that opens a page sends none. Neither page tells a secret.
OPEN_PATHS: Final = frozenset({"/project/health", "/project/ready", *DOCS})


def create_app(service: SentimentService, observers: Sequence[Observer] = ()) -> Starlette:
    """Build the application over a service; observers get a record of each prediction request."""
    budget = BodyBudget()

    async def on_http_error(request: Request, error: Exception) -> Response:
        # Without a key, a client does not learn which paths there are.
        try:
            if request.scope["path"] not in OPEN_PATHS:
                middleware.check_key(service.settings, request.scope)
        except Unauthorized as refusal:
            error = refusal
        return await on_error(request, error)

    app = Starlette(
        routes=[
            *(
                Route(path, PredictEndpoint(service, request_format, budget, observers))
                for path, request_format in PREDICTIONS.items()
            ),
            *(Route(path, partial(page, service)) for path, page in STATES.items()),
            *(Route(path, page, methods=["GET"]) for path, page in DOCS.items()),
        ],
        middleware=[
            Middleware(middleware.default_headers, middleware.NO_SNIFF),
            Middleware(middleware.cross_origin, service),
            Middleware(middleware.unexpected_errors),
        ],
        exception_handlers={404: on_http_error, 405: on_http_error, ServiceError: on_error},
    )
    app.router.redirect_slashes = False
    return app
