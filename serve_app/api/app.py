"""The HTTP application, which knows nothing of Ray."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from serve_app import __version__
from serve_app.api import pages as docs
from serve_app.api.direct import Direct
from serve_app.api.formats import HUGGING_FACE, PREDICT, Dialect
from serve_app.api.middleware import Authenticated, BodyBudget, CrossOrigin, NoSniff
from serve_app.api.openapi import document
from serve_app.api.pages import health, info, ready
from serve_app.api.predict import exchange
from serve_app.api.problems import (
    UnexpectedErrors,
    on_client_disconnect,
    on_method_not_allowed,
    on_not_found,
    on_service_error,
)
from serve_app.api.request_record import Observed, Observer
from serve_app.errors import ServiceError
from serve_app.gateway import SentimentService

PREDICTIONS: Final[dict[str, Dialect[Any]]] = {
    "/project": HUGGING_FACE,
    "/project/predict": PREDICT,
    "/project/bulk-predict": PREDICT,
}
"""What answers with predictions, by POST."""

STATES: Final = {"/project/health": health, "/project/ready": ready, "/project/info": info}
"""What tells of the service, by GET."""

# Probes carry no keys, and a browser that opens a page sends none. Neither tells a secret.
OPEN_PATHS = ["/project/health", "/project/ready", docs.DOCUMENT, *docs.ROUTES]


class Application(FastAPI):
    """FastAPI with a document of its own."""

    def openapi(self) -> dict[str, Any]:
        """Return the document that `/project/openapi.json` serves and `/project/docs` shows."""
        return document(self.version)


def create_app(service: SentimentService, observers: Sequence[Observer] = ()) -> FastAPI:
    """Build the application over a service.

    The routes are Starlette's, called with the request alone: parsing, validation and the
    document of the API are the package's own, so FastAPI's work per request is saved.

    Args:
        service: Answers the requests.
        observers: Told about every request for predictions when it is over.
    """
    app = Application(
        title="sentiment-serve",
        version=__version__,
        openapi_url=docs.DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Requests are counted and traced elsewhere, and FastAPI would log what exceptions quote.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={
            404: on_not_found,
            405: on_method_not_allowed,
            ClientDisconnect: on_client_disconnect,
            ServiceError: on_service_error,
        },
    )
    # Outermost last.
    predictions = {
        path: partial(exchange, service, dialect) for path, dialect in PREDICTIONS.items()
    }
    app.add_middleware(Direct, endpoints=predictions)
    app.add_middleware(BodyBudget, service=service)
    app.add_middleware(Authenticated, service=service, open_paths=OPEN_PATHS)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(Observed, paths=PREDICTIONS, observers=observers)
    app.add_middleware(CrossOrigin, service=service)
    app.add_middleware(NoSniff)
    for path, endpoint in predictions.items():
        app.add_route(path, endpoint, methods=["POST"])
    for path, state in STATES.items():
        app.add_route(path, partial(state, service), methods=["GET"])
    for path, answer in docs.ROUTES.items():
        app.add_route(path, answer)
    return app
