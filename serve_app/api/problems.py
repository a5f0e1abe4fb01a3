"""Errors in the form of RFC 9457, https://www.rfc-editor.org/rfc/rfc9457."""

import json
import logging
import traceback
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serve_app.errors import (
    FAILED,
    NOWHERE,
    PROBLEM_JSON,
    MethodNotAllowed,
    ServiceError,
    problem_members,
)

logger = logging.getLogger(__name__)

# nginx and Ray Serve count a request so whose client left.
CLIENT_LEFT: Final = 499


def problem(request: Request, error: ServiceError, **extension: str) -> Response:
    """Return the problem document of an error, with the request's id and more members.

    Ray Serve adds an `X-Request-ID` where the client sends none, and sets the answer's.
    """
    members = problem_members(error, request.headers.get("x-request-id", "")) | extension
    return Response(json.dumps(members), error.status, error.headers, PROBLEM_JSON)


def service_error(request: Request, error: Exception) -> ServiceError:
    """Return the error that a client learns of.

    The log gets the place of an unexpected error without its message, which may quote a text.
    """
    match error:
        case ServiceError():
            return error
        case HTTPException(status_code=MethodNotAllowed.status):
            return MethodNotAllowed((error.headers or {}).get("Allow", ""))
        case HTTPException():
            return NOWHERE
    logger.error(
        "request %s failed with %s\n%s",
        request.headers.get("x-request-id", ""),
        type(error).__name__,
        "".join(traceback.format_tb(error.__traceback__)),
    )
    return FAILED


async def on_error(request: Request, error: Exception) -> Response:
    """Answer a request that ended with an error; a handler of Starlette's."""
    return problem(request, service_error(request, error))
