"""The OpenAPI 3.1 document.

The forms come from the models that parse and answer, the errors from the classes that are raised.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app import __version__
from serve_app.api.schemas import (
    DEADLINE_HEADER,
    Health,
    HuggingFaceAnswer,
    HuggingFaceRequest,
    Info,
    InvalidRequestProblem,
    Limits,
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
Example = tuple[type[BaseModel], Any]

_REQUEST_ID = "5cfe1a6b-3f0a-4f8e-9f5a-0d7f0c9f3b11"

_ERRORS: dict[str, tuple[ServiceError, ...]] = {
    "Unauthorized": (Unauthorized("An API key is needed. Send `Authorization: Bearer KEY`."),),
    "NotFound": (NotFound("There is nothing at this path; see /project/docs."),),
    "MethodNotAllowed": (MethodNotAllowed("POST"),),
    "BodyTooLarge": (BodyTooLarge("The body has more than 2097152 bytes."),),
    "InvalidRequest": (
        InvalidRequest.at(
            ["body", "text", 0],
            "The body is not the JSON asked for.",
            "Input should be a valid string",
            "string_type",
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
    """Return the headers of answers by name."""
    return {
        name: {"description": description, "schema": {"type": kind}}
        for name, (kind, description) in _HEADERS.items()
    }


def _error_refs(*names: str) -> Json:
    return {
        str(_ERRORS[name][0].status): {"$ref": f"#/components/responses/{name}"} for name in names
    }


def _error_response(*errors: ServiceError) -> Json:
    first = errors[0]
    schema = InvalidRequestProblem if isinstance(first, InvalidRequest) else Problem
    return {
        "description": first.title,
        "headers": _header_refs("X-Request-ID", *first.headers),
        "content": {
            PROBLEM_JSON: {
                "schema": _schema_ref(schema),
                "examples": {
                    error.slug: {"value": problem_members(error, _REQUEST_ID)} for error in errors
                },
            }
        },
    }


def _unready() -> Json:
    response = _error_response(*_ERRORS["ModelUnavailable"])
    content = response["content"][PROBLEM_JSON]
    content["schema"] = _schema_ref(UnreadyProblem)
    for example in content["examples"].values():
        example["value"] |= {"model": "unavailable", "cache": "ok"}
    return response


def _header_refs(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _schema_ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


_PREDICTIONS = [
    [{"label": "POSITIVE", "score": 0.71}, {"label": "NEGATIVE", "score": 0.29}],
    [{"label": "NEGATIVE", "score": 0.98}, {"label": "POSITIVE", "score": 0.02}],
]
_INFO = Info(
    model="embedded",
    revision="0123456789ab",
    digest="0123456789abcdef0123456789abcdef",
    engine="onnx-int8",
    labels=["NEGATIVE", "POSITIVE"],
    limits=Limits(
        max_texts=256, max_chars=32768, max_body_bytes=2097152, max_tokens=512, deadline_s=30.0
    ),
    versions={"python": "3.11.7", "sentiment-serve": __version__},
)

_PREDICTION_ERRORS = (
    "Unauthorized", "BodyTooLarge", "InvalidRequest", "Overloaded", "Failed", "ModelUnavailable",
    "DeadlineExceeded",
)  # fmt: skip
_PREDICTION_HEADERS = (
    "X-Request-ID", "X-Model-Id", "X-Model-Revision", "X-Cache-Hits", "X-Cache-Misses",
    "X-Truncated", "Server-Timing",
)  # fmt: skip

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

_SCHEMAS: tuple[type[BaseModel], ...] = (
    PredictRequest, HuggingFaceRequest, PredictAnswer, HuggingFaceAnswer, Health, Ready, Info,
    Problem, InvalidRequestProblem, UnreadyProblem,
)  # fmt: skip


@cache
def document() -> Json:
    """Return the OpenAPI document."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in _SCHEMAS],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "sentiment-serve", "version": __version__, "description": _DESCRIPTION},
        "paths": _paths(),
        "components": {
            "schemas": schemas["$defs"],
            "headers": header_components(),
            "responses": {name: _error_response(*errors) for name, errors in _ERRORS.items()},
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
    texts = ["example 1", "example 2"]
    predict = (PredictRequest, {"text": texts}), (PredictAnswer, {"predictions": _PREDICTIONS})
    hugging_face = {"inputs": texts, "parameters": {"top_k": 2}}
    ready = _get("ready", "Would a prediction succeed", Ready(cache="degraded"))
    ready["get"]["responses"] |= {"503": _unready()} | _error_refs("Failed", "DeadlineExceeded")
    info = _get("info", "Model, limits, versions", _INFO)
    info["get"]["responses"] |= _error_refs("Unauthorized")
    info["get"]["security"] = _KEY_WHERE_CONFIGURED
    return {
        "/project/predict": _post("predict", "Classify texts", *predict),
        "/project/bulk-predict": _post("bulkPredict", "The same as predict", *predict),
        "/project": _post(
            "classify",
            "Classify texts in the form of Hugging Face's clients",
            (HuggingFaceRequest, hugging_face),
            (HuggingFaceAnswer, _PREDICTIONS),
        ),
        "/project/health": _get("health", "Is the process live", Health()),
        "/project/ready": ready,
        "/project/info": info,
    }


def _post(operation: str, summary: str, request: Example, answer: Example) -> Json:
    ok = {
        "description": "One entry for each text, in order.",
        "headers": _header_refs(*_PREDICTION_HEADERS),
        "content": _json_content(*answer),
    }
    post = {
        "operationId": operation,
        "summary": summary,
        "parameters": [_DEADLINE],
        "security": _KEY_WHERE_CONFIGURED,
        "requestBody": {
            "required": True,
            "description": "JSON in UTF-8; Content-Type may be missing.",
            "content": _json_content(*request),
        },
        "responses": {"200": ok} | _error_refs(*_PREDICTION_ERRORS),
    }
    return {"post": post}


def _get(operation: str, summary: str, example: BaseModel) -> Json:
    ok = {
        "description": "The answer.",
        "headers": _header_refs("X-Request-ID"),
        "content": _json_content(type(example), example.model_dump()),
    }
    return {"get": {"operationId": operation, "summary": summary, "responses": {"200": ok}}}


def _json_content(schema: type[BaseModel], example: Any) -> Json:
    return {"application/json": {"schema": _schema_ref(schema), "example": example}}
