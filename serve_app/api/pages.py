"""`GET /project/docs`: Swagger UI from this machine, for networks without a way out."""

import platform
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from serve_app.api.predict import deadline
from serve_app.api.problems import problem
from serve_app.api.schemas import Health, Info, Limits, Ready
from serve_app.errors import ModelUnavailable
from serve_app.gateway import SentimentService

DOCUMENT: Final = "/project/openapi.json"
DOCS: Final = "/project/docs"

# The page may run and show what comes from here, and ask this service. Swagger UI carries its
# icons in its style sheet.
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
<link rel="icon" href="{DOCS}/favicon-32x32.png">
<link rel="stylesheet" href="{DOCS}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-document="{DOCUMENT}"></div>
<noscript><a href="{DOCUMENT}">The OpenAPI document</a></noscript>
<script src="{DOCS}/swagger-ui-bundle.js"></script>
<script src="{DOCS}/start.js"></script>
</body>
</html>
"""
_START: Final = """const place = document.getElementById("swagger-ui");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true });
"""


async def page(_: Request) -> Response:
    """Answer with the page."""
    return HTMLResponse(
        _PAGE, headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    )


async def start(_: Request) -> Response:
    """Answer with the script that starts Swagger UI: the policy forbids one within the page."""
    return Response(_START, headers={"Cache-Control": _MAX_AGE}, media_type="text/javascript")


async def asset(request: Request) -> Response:
    """Answer with the file of Swagger UI that ends the path."""
    name = request.url.path.rpartition("/")[2]
    path = Path(str(files("fastapi_swagger").joinpath("resources", name)))
    return FileResponse(path, headers={"Cache-Control": _MAX_AGE})


ROUTES: Final = {
    DOCS: page,
    f"{DOCS}/start.js": start,
    f"{DOCS}/swagger-ui-bundle.js": asset,
    f"{DOCS}/swagger-ui.css": asset,
    f"{DOCS}/favicon-32x32.png": asset,
}


_HEALTHY = Health().model_dump_json().encode()


async def health(_: SentimentService, __: Request) -> Response:
    """Answer as long as the process can."""
    return Response(_HEALTHY, media_type="application/json")


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
    return Response(Ready(cache=state.cache).model_dump_json(), media_type="application/json")


async def info(service: SentimentService, _: Request) -> Response:
    """Answer with what a client may want to know before it sends texts."""
    model, settings = service.model, service.settings
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
    return Response(answer.model_dump_json(), media_type="application/json")


@cache
def versions() -> dict[str, str]:
    """Return the versions of what scores can depend on."""
    packages = ("sentiment-serve", "ray", "onnxruntime")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
