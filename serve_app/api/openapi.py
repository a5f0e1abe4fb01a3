"""The OpenAPI 3.1 document.

Written here and not derived by FastAPI, whose view of a route ends at `Request`. The forms come
from the models that parse and answer, the errors from the classes that are raised.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app.api.deadline import DEADLINE_HEADER
from serve_app.api.huggingface import HuggingFaceAnswer, HuggingFaceRequest
from serve_app.api.responses import (
    Json,
    error_components,
    error_refs,
    header_components,
    header_refs,
    schema_ref,
    unready,
)
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
    "versions": {"python": "3.11.7", "sentiment-serve": "0.1.0"},
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
