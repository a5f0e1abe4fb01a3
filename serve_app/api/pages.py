"""The pages that answer `GET`: health, readiness, information, and the documentation."""

import platform
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from serve_app.api.middleware import check_key
from serve_app.api.openapi import document
from serve_app.api.predict import deadline
from serve_app.api.problems import problem
from serve_app.api.schemas import Health, Info, Limits, Ready
from serve_app.errors import ModelUnavailable
from serve_app.gateway import SentimentService

DOCUMENT: Final = "/project/openapi.json"
DOCS_PATH: Final = "/project/docs"

# Scripts, styles and requests come from and go to this origin alone; Swagger UI has its icons in
# its style sheet.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_MAX_AGE: Final = "public, max-age=3600"

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
_START: Final = """const place = document.getElementById("swagger-ui");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true });
"""


async def health(_: SentimentService, __: Request) -> Response:
    """Answer as long as the process can."""
    return _json(Health())


async def ready(service: SentimentService, request: Request) -> Response:
    """Answer 200 when a prediction would succeed now, else 503 with the parts' states.

    Raises:
        DeadlineExceeded: The parts did not answer within a request's deadline.
    """
    async with deadline(service.settings.deadline_s):
        state = await service.readiness()
    if state.model == "unavailable":
        error = ModelUnavailable("No model replica answers at the moment.")
        return problem(request, error, **state._asdict())
    return _json(Ready(cache=state.cache))


async def info(service: SentimentService, request: Request) -> Response:
    """Answer with what a client may want to know before it sends texts.

    Raises:
        Unauthorized: The request carries no known API key.
    """
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


async def openapi(_: Request) -> Response:
    """Answer with the OpenAPI document."""
    return JSONResponse(document())


async def docs(_: Request) -> Response:
    """Answer with the page of the documentation."""
    return HTMLResponse(
        _PAGE, headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    )


async def docs_script(_: Request) -> Response:
    """Answer with the script that starts Swagger UI; the policy forbids one within the page."""
    return Response(_START, headers={"Cache-Control": _MAX_AGE}, media_type="text/javascript")


async def docs_file(request: Request) -> Response:
    """Answer with the file of Swagger UI that the path ends with."""
    name = request.url.path.rpartition("/")[2]
    path = Path(str(files("fastapi_swagger").joinpath("resources", name)))
    return FileResponse(path, headers={"Cache-Control": _MAX_AGE})


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(), media_type="application/json")


STATES: Final = {"/project/health": health, "/project/ready": ready, "/project/info": info}
"""The pages that tell the state of a service, by path."""

DOCS: Final = {
    DOCUMENT: openapi,
    DOCS_PATH: docs,
    f"{DOCS_PATH}/start.js": docs_script,
    f"{DOCS_PATH}/swagger-ui-bundle.js": docs_file,
    f"{DOCS_PATH}/swagger-ui.css": docs_file,
    f"{DOCS_PATH}/favicon-32x32.png": docs_file,
}
"""The pages of the documentation, by path."""

# Probes carry no keys, and a browser that opens a page sends none. Neither page tells a secret.
OPEN_PATHS: Final = frozenset({"/project/health", "/project/ready", *DOCS})
