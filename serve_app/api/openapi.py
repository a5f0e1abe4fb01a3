"""The OpenAPI 3.1 document, made of the forms that parse and the errors that are raised."""

from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app import __version__, errors
from serve_app.api import schemas
from serve_app.errors import PROBLEM_JSON, InvalidRequest, ServiceError, problem_members
from serve_app.settings import AppArgs, GatewaySettings

Json = dict[str, Any]

_REQUEST_ID = "5cfe1a6b-3f0a-4f8e-9f5a-0d7f0c9f3b11"

_SETTINGS = GatewaySettings()
_UNAVAILABLE = errors.ModelUnavailable(errors.NO_REPLICA)
_PREDICTION_ERRORS: tuple[ServiceError, ...] = (
    errors.Unauthorized("An API key is needed. Send `Authorization: Bearer KEY`."),
    errors.CrossOriginRequest(errors.FOREIGN_PAGE),
    errors.BodyTooLarge(f"The body has more than {_SETTINGS.max_body_bytes} bytes."),
    errors.InvalidRequest.at(
        ["body", "text", 0],
        "The body is not the JSON asked for.",
        "Input should be a valid string",
        "string_type",
    ),
    errors.Overloaded("Every queue is full."),
    errors.FAILED,
    errors.InferenceFailed(errors.NO_SCORE),
    _UNAVAILABLE,
    errors.DeadlineExceeded(f"There was no answer within {_SETTINGS.deadline_s:g} seconds."),
)
_GENERAL_ERRORS: tuple[ServiceError, ...] = (
    errors.MisdirectedRequest(errors.FOREIGN_HOST),
    errors.NOWHERE,
    errors.MethodNotAllowed("POST"),
)
_ERRORS = sorted(_PREDICTION_ERRORS + _GENERAL_ERRORS, key=attrgetter("status"))
_PREDICTION_HEADERS = {
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
}
_ERROR_HEADERS = {
    "Retry-After": ("integer", "Seconds to wait before the next attempt."),
    "Allow": ("string", "Methods of the path."),
    "WWW-Authenticate": ("string", "That an API key is needed, and how it is sent."),
}
HEADERS: Final[Json] = {
    name: {"description": description, "schema": {"type": kind}}
    for name, (kind, description) in (_PREDICTION_HEADERS | _ERROR_HEADERS).items()
}
"""The headers of answers, by name."""

_DEADLINE: Json = {
    "name": schemas.DEADLINE_HEADER,
    "in": "header",
    "description": "Milliseconds after which the answer is of no use: 504 by then. The service's "
    "own deadline, deadline_s in /project/info, is the longest.",
    "schema": {"type": "integer", "minimum": 1},
}
_API_KEY: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "Only where the service is configured with API keys.",
}
# Either of them: no key, or one.
_KEY_WHERE_CONFIGURED: list[Json] = [{}, {"ApiKey": []}]

_DESCRIPTION = """Sentiment of texts.

The limits of a request are in `/project/info`. Every error is `application/problem+json`
(RFC 9457): 404 for a path that is not described here, 405 for a method that a path does not have,
421 for a Host that is not the service's, where it listens on loopback alone, and those named with
each operation."""

_SCHEMAS: tuple[type[BaseModel], ...] = (
    schemas.PredictRequest, schemas.HuggingFaceRequest, schemas.PredictAnswer,
    schemas.HuggingFaceAnswer, schemas.Health, schemas.Ready, schemas.Info, schemas.Problem,
    schemas.InvalidRequestProblem, schemas.UnreadyProblem,
)  # fmt: skip
_TEXTS = ["example 1", "example 2"]
_PREDICTIONS = [
    [schemas.LabelScore(label=label, score=score) for label, score in scores.items()]
    for scores in ({"POSITIVE": 0.71, "NEGATIVE": 0.29}, {"NEGATIVE": 0.98, "POSITIVE": 0.02})
]
_INFO = schemas.Info(
    model=AppArgs().model,
    revision="0123456789ab",
    digest="0123456789abcdef0123456789abcdef",
    engine="onnx-int8",
    labels=["NEGATIVE", "POSITIVE"],
    limits=schemas.Limits.of(_SETTINGS, max_tokens=512),
    versions={"python": "3.11.7", "sentiment-serve": __version__},
)


def document() -> Json:
    """Return the OpenAPI document."""
    _, forms = models_json_schema(
        [(model, "validation") for model in _SCHEMAS],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "sentiment-serve", "version": __version__, "description": _DESCRIPTION},
        "paths": _paths(),
        "components": {
            "schemas": forms["$defs"],
            "headers": HEADERS,
            "responses": {
                f"Problem{status}": _error_response(*alike)
                for status, alike in groupby(_ERRORS, attrgetter("status"))
            },
            "securitySchemes": {"ApiKey": _API_KEY},
        },
    }


def _paths() -> Json:
    predict = schemas.PredictRequest(text=_TEXTS), schemas.PredictAnswer(predictions=_PREDICTIONS)
    hugging_face = (
        schemas.HuggingFaceRequest(inputs=_TEXTS, parameters=schemas.Parameters(top_k=2)),
        schemas.HuggingFaceAnswer(_PREDICTIONS),
    )
    ready = _get("ready", "Would a prediction succeed", schemas.Ready(cache="degraded"))
    unready = _error_response(
        _UNAVAILABLE, schema=schemas.UnreadyProblem, model="unavailable", cache="ok"
    )
    ready["get"]["responses"] |= {"503": unready} | _error_refs(500, 504)
    info = _get("info", "Model, limits, versions", _INFO)
    info["get"]["responses"] |= _error_refs(401)
    info["get"]["security"] = _KEY_WHERE_CONFIGURED
    hugging_face_summary = "Classify texts in the form of Hugging Face's clients"
    return {
        "/project/predict": _post("predict", "Classify texts", *predict),
        "/project/bulk-predict": _post("bulkPredict", "The same as predict", *predict),
        "/project": _post("classify", hugging_face_summary, *hugging_face),
        "/project/health": _get("health", "Is the process live", schemas.Health()),
        "/project/ready": ready,
        "/project/info": info,
    }


def _post(operation: str, summary: str, request: BaseModel, answer: BaseModel) -> Json:
    post = {
        "operationId": operation,
        "summary": summary,
        "parameters": [_DEADLINE],
        "security": _KEY_WHERE_CONFIGURED,
        "requestBody": {
            "required": True,
            "description": "JSON in UTF-8; Content-Type may be missing.",
            "content": _json_content(request),
        },
        "responses": {
            "200": {
                "description": "One entry for each text, in order.",
                "headers": _header_refs(*_PREDICTION_HEADERS),
                "content": _json_content(answer),
            }
        }
        | _error_refs(*(error.status for error in _PREDICTION_ERRORS)),
    }
    return {"post": post}


def _get(operation: str, summary: str, example: BaseModel) -> Json:
    ok = {
        "description": "The answer.",
        "headers": _header_refs("X-Request-ID"),
        "content": _json_content(example),
    }
    return {"get": {"operationId": operation, "summary": summary, "responses": {"200": ok}}}


def _json_content(example: BaseModel) -> Json:
    content = {
        "schema": _ref("schemas", type(example).__name__),
        "example": example.model_dump(by_alias=True, exclude_none=True),
    }
    return {"application/json": content}


def _error_response(
    *alike: ServiceError, schema: type[BaseModel] = schemas.Problem, **parts: str
) -> Json:
    """Return the response of errors of one status, with the type of each."""
    examples = {
        error.slug: {"value": problem_members(error, _REQUEST_ID) | parts} for error in alike
    }
    types = [example["value"]["type"] for example in examples.values()]
    if isinstance(alike[0], InvalidRequest):
        schema = schemas.InvalidRequestProblem
    typed = _ref("schemas", schema.__name__) | {"properties": {"type": {"enum": types}}}
    return {
        "description": ", or: ".join(error.title for error in alike),
        "headers": _header_refs("X-Request-ID", *alike[0].headers),
        "content": {PROBLEM_JSON: {"schema": typed, "examples": examples}},
    }


def _error_refs(*statuses: int) -> Json:
    return {str(status): _ref("responses", f"Problem{status}") for status in statuses}


def _header_refs(*names: str) -> Json:
    return {name: _ref("headers", name) for name in names}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
