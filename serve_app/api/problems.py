"""Errors in the form of RFC 9457, `application/problem+json`.

https://www.rfc-editor.org/rfc/rfc9457
"""

import json
import logging
import traceback
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.request_record import observation
from serve_app.errors import (
    PROBLEM_JSON,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    ServiceError,
    problem_members,
)

logger = logging.getLogger(__name__)


def problem(
    request: Request,
    error: ServiceError,
    headers: Mapping[str, str] | None = None,
    **extension: str,
) -> Response:
    """Answer a request with an error.

    Args:
        request: Its `X-Request-ID`, which Ray Serve adds where the client sends none, is
            repeated in the body. Ray Serve itself sets the header of the answer.
        error: What went wrong.
        headers: Headers beside those of the error's class.
        extension: Members beside those of every problem.
    """
    observation(request.scope).problem = error.slug
    request_id = request.headers.get("x-request-id", "")
    return Response(
        json.dumps(problem_members(error, request_id) | extension),
        error.status,
        {**error.headers, **(headers or {})},
        PROBLEM_JSON,
    )


async def on_service_error(request: Request, error: ServiceError) -> Response:
    """Answer with the error's own status."""
    headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    return problem(request, error, headers)


async def on_not_found(request: Request, _: HTTPException) -> Response:
    """Answer a path that no route has."""
    return problem(request, NotFound("There is nothing at this path; see /project/docs."))


async def on_method_not_allowed(request: Request, error: HTTPException) -> Response:
    """Answer a method that the path does not have, and name those it has."""
    detail = "This path is not there for this method; Allow names those it is there for."
    return problem(request, MethodNotAllowed(detail), error.headers)


async def on_client_disconnect(_: Request, __: ClientDisconnect) -> Response:
    """Close the books on a client that left while sending: no one reads this.

    499 is what nginx and Ray Serve count such requests as.
    """
    return Response(status_code=499)


class UnexpectedErrors:
    """ASGI middleware that answers with a 500 problem whatever no handler knows.

    Starlette's own would do so and raise again, to be logged a second time by the server.
    The log gets the place of the error without its message, which may quote a user's text.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def observed_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except Exception as error:
            if started:
                raise
            request = Request(scope)
            _log(request, error)
            answer = problem(request, ServiceError("The service failed on this request."))
            await answer(scope, receive, send)


def _log(request: Request, error: Exception) -> None:
    logger.error(
        "request %s failed with %s\n%s",
        request.headers.get("x-request-id", ""),
        type(error).__name__,
        "".join(traceback.format_tb(error.__traceback__)),
    )
