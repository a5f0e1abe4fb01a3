"""The pages that answer `GET`: health, readiness, information, and the documentation."""

import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from serve_app.api.middleware import check_key
from serve_app.api.openapi import document
from serve_app.api.predict import deadline
from serve_app.api.problems import problem
from serve_app.api.schemas import Health, Info, Limits, Ready
from serve_app.errors import NO_REPLICA, ModelUnavailable
from serve_app.gateway import SentimentService

DOCUMENT: Final = "/project/openapi.json"
DOCS_PATH: Final = "/project/docs"

# Scripts, styles and requests come from and go to this origin alone; Swagger UI has its icons in
# its style sheet.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURE: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}

_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sentiment-serve</title>
<link rel="icon" href="{DOCS_PATH}/favicon-32x32.png">
<link rel="stylesheet" href="{DOCS_PATH}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-document="{DOCUMENT}"></div>
<noscript><a href="{DOCUMENT}">The OpenAPI document</a></noscript>
<script src="{DOCS_PATH}/swagger-ui-bundle.js"></script>
<script src="{DOCS_PATH}/start.js"></script>
</body>
</html>
"""
# The policy forbids a script within the page.
_START: Final = """const place = document.getElementById("swagger-ui");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true });
"""


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
    check_key(settings, request.scope)
    answer = Info(
        model=model.model_id,
        revision=model.revision,
        digest=model.digest,
        engine=service.engine,
        labels=list(model.labels),
        limits=Limits(
            max_texts=settings.max_texts,
            max_chars=settings.max_chars,
            max_body_bytes=settings.max_body_bytes,
            max_tokens=model.max_tokens,
            deadline_s=settings.deadline_s,
        ),
        versions=versions(),
    )
    return _json(answer)


@cache
def versions() -> dict[str, str]:
    """Return the versions of what scores can depend on."""
    packages = ("sentiment-serve", "ray", "onnxruntime")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


async def docs_file(request: Request) -> Response:
    """Answer with the file of Swagger UI that the path ends with."""
    name = request.url.path.rpartition("/")[2]
    path = Path(str(files("fastapi_swagger").joinpath("resources", name)))
    return FileResponse(path, headers=_CACHED)


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(exclude_none=True), media_type="application/json")


STATES: Final = {"/project/health": health, "/project/ready": ready, "/project/info": info}
"""The pages that tell the state of a service, by path."""

DOCS: Final[dict[str, Callable[..., Any]]] = {
    DOCUMENT: JSONResponse(document()),
    DOCS_PATH: HTMLResponse(_PAGE, headers=_SECURE),
    f"{DOCS_PATH}/start.js": Response(_START, headers=_CACHED, media_type="text/javascript"),
    f"{DOCS_PATH}/swagger-ui-bundle.js": docs_file,
    f"{DOCS_PATH}/swagger-ui.css": docs_file,
    f"{DOCS_PATH}/favicon-32x32.png": docs_file,
}
"""The pages of the documentation, by path."""

# Probes carry no keys, and a browser that opens a page sends none. Neither page tells a secret.
OPEN_PATHS: Final = frozenset({"/project/health", "/project/ready", *DOCS})
