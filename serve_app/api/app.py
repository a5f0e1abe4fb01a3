"""The HTTP application; it does not import Ray."""

from collections.abc import Sequence
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_app.api.formats import PREDICTIONS
from serve_app.api.middleware import check_key, cross_origin, no_sniff, unexpected_errors
from serve_app.api.pages import DOCS, OPEN_PATHS, STATES
from serve_app.api.predict import BodyBudget, PredictEndpoint
from serve_app.api.problems import on_error
from serve_app.api.request_record import Observer
from serve_app.errors import ServiceError, Unauthorized
from serve_app.gateway import SentimentService


def create_app(service: SentimentService, observers: Sequence[Observer] = ()) -> Starlette:
    """Build the application over a service; observers get a record of each prediction request."""
    budget = BodyBudget()

    async def on_http_error(request: Request, error: Exception) -> Response:
        # Without a key, a client does not learn which paths there are.
        try:
            if request.scope["path"] not in OPEN_PATHS:
                check_key(service.settings, request.scope)
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
            Middleware(no_sniff),
            Middleware(cross_origin, service),
            Middleware(unexpected_errors),
        ],
        exception_handlers={404: on_http_error, 405: on_http_error, ServiceError: on_error},
    )
    app.router.redirect_slashes = False
    return app
