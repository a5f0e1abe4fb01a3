"""The JSON forms of predictions: the contract's and Hugging Face's."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import numpy as np
from pydantic import ValidationError
from starlette.responses import Response

from serve_app.api.request_record import RequestContext
from serve_app.api.schemas import (
    HuggingFaceRequest,
    Parameters,
    PredictRequest,
    TextsRequest,
    Transform,
)
from serve_app.errors import FieldError, InferenceFailed, InvalidRequest
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, TextLogits
from serve_app.settings import GatewaySettings

MAX_ERRORS: Final = 16
MAX_KEY_CHARS: Final = 64
MAX_RENDERED: Final = 16_384
"""Texts whose part of an answer is kept: it depends on nothing but their logits."""

_VISIBLE_ASCII: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")

AnyTextsRequest = TypeVar("AnyTextsRequest", bound=TextsRequest)
Labels = tuple[str, ...]


@dataclass(frozen=True)
class RequestFormat(Generic[AnyTextsRequest]):
    """The JSON form of a request and of its answer.

    Attributes:
        schema: Form of the request's body.
        render: Returns the answer's JSON, given the request, the model and the logits.
    """

    schema: type[AnyTextsRequest]
    render: Callable[[AnyTextsRequest, ModelIdentity, Sequence[TextLogits]], bytes]

    def parse(self, body: bytes | bytearray, settings: GatewaySettings) -> AnyTextsRequest:
        """Parse a body; its bytes count, whatever Content-Type it was sent with.

        Raises:
            InvalidRequest: The body is not JSON of this form, or exceeds a limit. The errors
                repeat nothing of it but the names of its fields, shortened.
        """
        try:
            asked = self.schema.model_validate_json(body)
        except ValidationError as error:
            raise InvalidRequest("The body is not the JSON asked for.", _places(error)) from None
        check_limits(asked, settings)
        return asked

    def respond(
        self, asked: AnyTextsRequest, model: ModelIdentity, context: RequestContext
    ) -> Response:
        """Return the answer to a request whose context has a result.

        Raises:
            InferenceFailed: A score is not finite.
        """
        assert context.result is not None
        content = self.render(asked, model, context.result.texts)
        total_ms = (time.perf_counter() - context.started) * 1000
        headers = prediction_headers(model, context.result, total_ms)
        return Response(content, headers=headers, media_type="application/json")


def check_limits(asked: TextsRequest, settings: GatewaySettings) -> None:
    """Refuse more or longer texts than the settings allow.

    Raises:
        InvalidRequest: There are too many texts, or one of them is too long.
    """
    texts = asked.texts
    if len(texts) > settings.max_texts:
        msg = f"At most {settings.max_texts} texts are accepted, these are {len(texts)}"
        place: list[str | int] = ["body", asked.place()]
        raise InvalidRequest.at(place, "There are too many texts.", msg, "too_long")
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            msg = f"At most {settings.max_chars} characters are accepted, these are {len(text)}"
            place = ["body", asked.place(), index]
            raise InvalidRequest.at(place, "A text is too long.", msg, "string_too_long")


def prediction_headers(
    model: ModelIdentity, result: Classification, total_ms: float
) -> dict[str, str]:
    """Return the headers that say where a prediction came from.

    `Server-Timing` is https://www.w3.org/TR/server-timing/, in milliseconds.
    """
    times = result.times
    headers = {
        "X-Model-Id": _header_value(model.model_id),
        "X-Model-Revision": _header_value(model.revision),
        "X-Cache-Hits": str(result.hits),
        "X-Cache-Misses": str(result.misses),
        "Server-Timing": (
            f"cache;dur={times.cache:.3f}, queue;dur={times.queue:.3f}, "
            f"inference;dur={times.inference:.3f}, total;dur={total_ms:.3f}"
        ),
    }
    truncated = [str(index) for index, text in enumerate(result.texts) if text.truncated]
    if truncated:
        headers["X-Truncated"] = ",".join(truncated)
    return headers


@lru_cache(MAX_RENDERED)
def label_scores(
    labels: Labels, logits: tuple[float, ...], transform: Transform, top_k: int | None
) -> bytes:
    """Return the JSON list of one text's labels, highest score first.

    Equal scores keep the order of the labels.

    Args:
        labels: Label names.
        logits: One float32 value per label.
        transform: Turns the logits into scores.
        top_k: How many labels to return; all where it is None or larger.

    Raises:
        InferenceFailed: A logit is not finite.
    """
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed("The model gave a text a score that is not finite.")
    scores = map(np.float32, _TRANSFORMS[transform](logits))
    ranked = sorted(zip(labels, scores, strict=True), key=lambda pair: pair[1], reverse=True)
    items = (
        f'{{"label":{json.dumps(label)},"score":{decimal(score)}}}'
        for label, score in ranked[:top_k]
    )
    return f"[{','.join(items)}]".encode()


def decimal(value: np.float32) -> str:
    """Return the shortest plain decimal that is read back as the same float32.

    Dragon4 as in `numpy.format_float_positional`, which never writes an exponent.
    """
    return np.format_float_positional(value, unique=True, trim="0")


def render_predictions(
    labels: Labels, texts: Iterable[TextLogits], transform: Transform = "softmax"
) -> bytes:
    """Return the JSON of the contract's answer: every label of every text.

    Raises:
        InferenceFailed: A logit is not finite.
    """
    lists = (label_scores(labels, text.logits, transform, None) for text in texts)
    return b'{"predictions":[' + b",".join(lists) + b"]}"


def _render_hugging_face(
    asked: HuggingFaceRequest, model: ModelIdentity, texts: Sequence[TextLogits]
) -> bytes:
    parameters = asked.parameters or Parameters()
    transform = parameters.function_to_apply or model.transform
    lists = (label_scores(model.labels, text.logits, transform, parameters.top_k) for text in texts)
    return b"[" + b",".join(lists) + b"]"


def _softmax(logits: Sequence[float]) -> list[float]:
    """Return exp(x) / sum(exp(x)) in float64, shifted by the largest x against overflow."""
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _sigmoid(logits: Sequence[float]) -> list[float]:
    """Return 1 / (1 + exp(-x)) in float64; exp is only taken of what cannot overflow."""
    powers = [math.exp(-abs(logit)) for logit in logits]
    return [
        (1.0 if logit >= 0 else power) / (1.0 + power)
        for logit, power in zip(logits, powers, strict=True)
    ]


_TRANSFORMS: dict[Transform, Callable[[Sequence[float]], list[float]]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "none": list,
}


@lru_cache(8)
def _header_value(name: str) -> str:
    """Percent-encode what a header cannot carry: a model directory may have any name."""
    return quote(name, safe=_VISIBLE_ASCII)


def _places(error: ValidationError) -> list[FieldError]:
    if error.error_count() > MAX_ERRORS:
        # Listing them takes pydantic seconds for the many unknown fields that a body can hold.
        msg = f"More than {MAX_ERRORS} fields are missing or unknown"
        return [{"loc": ["body"], "msg": msg, "type": "too_many_errors"}]
    return [
        {
            "loc": ["body", *(_shortened(part) for part in place["loc"])],
            "msg": place["msg"],
            "type": place["type"],
        }
        for place in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _shortened(part: int | str) -> int | str:
    return part[:MAX_KEY_CHARS] if isinstance(part, str) else part


PREDICT: Final = RequestFormat(
    PredictRequest,
    lambda _, model, texts: render_predictions(model.labels, texts, model.transform),
)
HUGGING_FACE: Final = RequestFormat(HuggingFaceRequest, _render_hugging_face)

PREDICTIONS: Final[dict[str, RequestFormat[Any]]] = {
    "/project": HUGGING_FACE,
    "/project/predict": PREDICT,
    "/project/bulk-predict": PREDICT,
}
"""The paths that answer with predictions, by POST."""
