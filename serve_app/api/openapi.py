"""The OpenAPI 3.1 document.

Written here and not derived by FastAPI, whose view of a route ends at `Request`. The forms come
from the models that parse and answer, the errors from the classes that are raised.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app import __version__
from serve_app.api.formats import HuggingFaceAnswer, HuggingFaceRequest
from serve_app.api.predict import DEADLINE_HEADER
from serve_app.api.schemas import (
    Health,
    Info,
    InvalidRequestProblem,
    PredictAnswer,
    PredictRequest,
    Problem,
    Ready,
    UnreadyProblem,
)
from serve_app.errors import (
    PROBLEM_JSON,
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
    problem_members,
)

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


_PREDICTIONS = [
    [{"label": "POSITIVE", "score": 0.71}, {"label": "NEGATIVE", "score": 0.29}],
    [{"label": "NEGATIVE", "score": 0.98}, {"label": "POSITIVE", "score": 0.02}],
]
_INFO = {
    "model": "embedded",
    "revision": "0123456789ab",
    "digest": "0123456789abcdef0123456789abcdef",
    "engine": "onnx-int8",
    "labels": ["NEGATIVE", "POSITIVE"],
    "limits": {
        "max_texts": 256,
        "max_chars": 32768,
        "max_body_bytes": 2097152,
        "max_tokens": 512,
        "deadline_s": 30.0,
    },
    "versions": {"python": "3.11.7", "sentiment-serve": __version__},
}

_PREDICTION_ERRORS = (
    "Unauthorized",
    "BodyTooLarge",
    "InvalidRequest",
    "Overloaded",
    "Failed",
    "ModelUnavailable",
    "DeadlineExceeded",
)

_PREDICTION_HEADERS = (
    "X-Request-ID",
    "X-Model-Id",
    "X-Model-Revision",
    "X-Cache-Hits",
    "X-Cache-Misses",
    "X-Truncated",
    "Server-Timing",
)

_DEADLINE: Json = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "description": "Milliseconds after which the answer is of no use: 504 by then. The service's "
    "own deadline, deadline_s in /project/info, is the longest.",
    "schema": {"type": "integer", "minimum": 1},
}

# Either of them: no key, or one.
_KEY_WHERE_CONFIGURED: list[Json] = [{}, {"ApiKey": []}]

_DESCRIPTION = """Sentiment of texts.

The limits of a request are in `/project/info`. Every error is `application/problem+json`
(RFC 9457): 404 for a path that is not described here, 405 for a method that a path does not have,
and those named with each operation."""


@cache
def document(version: str) -> Json:
    """Return the OpenAPI document.

    Args:
        version: Version of the service.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "sentiment-serve", "version": version, "description": _DESCRIPTION},
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "headers": header_components(),
            "responses": error_components(),
            "securitySchemes": {
                "ApiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Only where the service is configured with API keys.",
                }
            },
        },
    }


def _paths() -> Json:
    predict = _prediction(
        PredictRequest,
        PredictAnswer,
        {"text": ["example 1", "example 2"]},
        {"predictions": _PREDICTIONS},
    )
    hugging_face = _prediction(
        HuggingFaceRequest,
        HuggingFaceAnswer,
        {"inputs": ["example 1", "example 2"], "parameters": {"top_k": 2}},
        _PREDICTIONS,
    )
    ready = _get(Ready, {"status": "ready", "model": "ok", "cache": "degraded"})
    ready["responses"] |= {"503": unready()} | error_refs("Failed", "DeadlineExceeded")
    info = _get(Info, _INFO) | {"security": _KEY_WHERE_CONFIGURED}
    info["responses"] |= error_refs("Unauthorized")
    return {
        "/project/predict": {
            "post": {"operationId": "predict", "summary": "Classify texts"} | predict
        },
        "/project/bulk-predict": {
            "post": {"operationId": "bulkPredict", "summary": "The same as predict"} | predict
        },
        "/project": {
            "post": {
                "operationId": "classify",
                "summary": "Classify texts in the form of Hugging Face's clients",
            }
            | hugging_face
        },
        "/project/health": {
            "get": {"operationId": "health", "summary": "Is the process live"}
            | _get(Health, {"status": "healthy"})
        },
        "/project/ready": {
            "get": {"operationId": "ready", "summary": "Would a prediction succeed"} | ready
        },
        "/project/info": {
            "get": {"operationId": "info", "summary": "Model, limits, versions"} | info
        },
    }


def _prediction(
    request: type[BaseModel], answer: type[BaseModel], asked: Json, answered: Any
) -> Json:
    ok = {
        "description": "One entry for each text, in order.",
        "headers": header_refs(*_PREDICTION_HEADERS),
        "content": {"application/json": {"schema": schema_ref(answer), "example": answered}},
    }
    return {
        "parameters": [_DEADLINE],
        "security": _KEY_WHERE_CONFIGURED,
        "requestBody": {
            "required": True,
            "description": "JSON in UTF-8; Content-Type may be missing.",
            "content": {"application/json": {"schema": schema_ref(request), "example": asked}},
        },
        "responses": {"200": ok} | error_refs(*_PREDICTION_ERRORS),
    }


def _get(answer: type[BaseModel], answered: Json) -> Json:
    ok = {
        "description": "The answer.",
        "headers": header_refs("X-Request-ID"),
        "content": {"application/json": {"schema": schema_ref(answer), "example": answered}},
    }
    return {"responses": {"200": ok}}


def _schemas() -> Json:
    requests = (PredictRequest, HuggingFaceRequest)
    answers = (
        PredictAnswer,
        HuggingFaceAnswer,
        Health,
        Ready,
        Info,
        Problem,
        InvalidRequestProblem,
        UnreadyProblem,
    )
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*requests, *answers)],
        ref_template="#/components/schemas/{model}",
    )
    definitions: Json = schemas["$defs"]
    return definitions
