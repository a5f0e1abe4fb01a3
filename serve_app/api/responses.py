"""What the OpenAPI document says of headers and errors."""

from typing import Any

from pydantic import BaseModel

from serve_app.api.schemas import InvalidRequestProblem, Problem, UnreadyProblem
from serve_app.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InferenceFailed,
    InvalidRequest,
    MethodNotAllowed,
    ModelUnavailable,
    NotFound,
    Overloaded,
    ServiceError,
    Unauthorized,
)
from serve_app.problem import PROBLEM_JSON, problem_members

Json = dict[str, Any]

_REQUEST_ID = "5cfe1a6b-3f0a-4f8e-9f5a-0d7f0c9f3b11"

_ERRORS: dict[str, tuple[ServiceError, ...]] = {
    "Unauthorized": (Unauthorized("An API key is needed. Send `Authorization: Bearer KEY`."),),
    "NotFound": (NotFound("There is nothing at this path; see /project/docs."),),
    "MethodNotAllowed": (MethodNotAllowed("This path is not there for this method."),),
    "BodyTooLarge": (BodyTooLarge("The body has more than 2097152 bytes."),),
    "InvalidRequest": (
        InvalidRequest(
            "The body is not the JSON asked for.",
            [
                {
                    "loc": ["body", "text", 0],
                    "msg": "Input should be a valid string",
                    "type": "string_type",
                }
            ],
        ),
    ),
    "Overloaded": (Overloaded("Every queue is full."),),
    "Failed": (
        InferenceFailed("The model failed on a text of this request."),
        ServiceError("The service failed on this request."),
    ),
    "ModelUnavailable": (ModelUnavailable("No model replica answers at the moment."),),
    "DeadlineExceeded": (DeadlineExceeded("There was no answer within 30 seconds."),),
}
_HEADERS = {
    "X-Request-ID": ("string", "The client's X-Request-ID, or a new one."),
    "X-Model-Id": ("string", "The model that answered."),
    "X-Model-Revision": ("string", "Its revision."),
    "X-Cache-Hits": ("integer", "Texts whose scores were known."),
    "X-Cache-Misses": ("integer", "The other texts; duplicates of one are computed once."),
    "X-Truncated": (
        "string",
        "Indices, joined by commas, of the texts with more tokens than the model reads; "
        "absent where there is none.",
    ),
    "Server-Timing": (
        "string",
        "Milliseconds of cache, queue, inference and total, as W3C Server Timing has it.",
    ),
    "Retry-After": ("integer", "Seconds to wait before the next attempt."),
    "Allow": ("string", "Methods of the path."),
    "WWW-Authenticate": ("string", "That an API key is needed, and how it is sent."),
}


def header_components() -> Json:
    """Return the headers by name."""
    return {
        name: {"description": description, "schema": {"type": kind}}
        for name, (kind, description) in _HEADERS.items()
    }


def error_components() -> Json:
    """Return the error responses by name, each with an example of every error it stands for."""
    return {name: _error_response(*errors) for name, errors in _ERRORS.items()}


def error_refs(*names: str) -> Json:
    """Return references to error responses by status."""
    return {
        str(_ERRORS[name][0].status): {"$ref": f"#/components/responses/{name}"} for name in names
    }


def _error_response(*errors: ServiceError) -> Json:
    first = errors[0]
    schema = InvalidRequestProblem if isinstance(first, InvalidRequest) else Problem
    allow = ("Allow",) if isinstance(first, MethodNotAllowed) else ()
    return {
        "description": first.title,
        "headers": header_refs("X-Request-ID", *first.headers, *allow),
        "content": {
            PROBLEM_JSON: {
                "schema": schema_ref(schema),
                "examples": {
                    error.slug: {"value": problem_members(error, _REQUEST_ID)} for error in errors
                },
            }
        },
    }


def unready() -> Json:
    """Return the response of a service that is not ready."""
    response = _error_response(*_ERRORS["ModelUnavailable"])
    content = response["content"][PROBLEM_JSON]
    content["schema"] = schema_ref(UnreadyProblem)
    for example in content["examples"].values():
        example["value"] |= {"model": "unavailable", "cache": "ok"}
    return response


def header_refs(*names: str) -> Json:
    """Return references to headers by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def schema_ref(model: type[BaseModel]) -> Json:
    """Return a reference to a model's schema."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
