"""`GET /project/docs`: Swagger UI from this machine, for networks without a way out."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

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
