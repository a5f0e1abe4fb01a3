"""The forms in which clients ask for predictions and get them."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

import numpy as np
from pydantic import BeforeValidator, Field, RootModel, ValidationError
from starlette.responses import Response

from serve_app.api.schemas import Form, LabelScore, PredictRequest, Texts, TextsRequest
from serve_app.errors import FieldError, InferenceFailed, InvalidRequest
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, TextLogits
from serve_app.settings import GatewaySettings

MAX_ERRORS = 16
MAX_KEY_CHARS = 64

AnyTextsRequest = TypeVar("AnyTextsRequest", bound=TextsRequest)


def parse(schema: type[AnyTextsRequest], body: bytes | bytearray) -> AnyTextsRequest:
    """Parse a body; whatever Content-Type it was sent with, only its bytes count.

    Raises:
        InvalidRequest: The body is not JSON of that form. The errors repeat nothing of it but
            the names of its fields, shortened.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest("The body is not the JSON asked for.", _places(error)) from None


def check_limits(asked: TextsRequest, settings: GatewaySettings) -> None:
    """Refuse more or longer texts than the settings allow.

    Raises:
        InvalidRequest: There are too many texts, or one of them is too long.
    """
    texts = asked.texts
    if len(texts) > settings.max_texts:
        msg = f"At most {settings.max_texts} texts are accepted, these are {len(texts)}"
        raise InvalidRequest(
            "There are too many texts.",
            [{"loc": ["body", asked.place()], "msg": msg, "type": "too_long"}],
        )
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            msg = f"At most {settings.max_chars} characters are accepted, these are {len(text)}"
            raise InvalidRequest(
                "A text is too long.",
                [{"loc": ["body", asked.place(), index], "msg": msg, "type": "string_too_long"}],
            )


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


_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


@dataclass(frozen=True)
class Dialect(Generic[AnyTextsRequest]):
    """One such form.

    Attributes:
        schema: Form of the request's body.
        render: Makes the answer's JSON of the request, the model's labels and the scores.
    """

    schema: type[AnyTextsRequest]
    render: Callable[[AnyTextsRequest, tuple[str, ...], Classification], bytes]

    def read(self, body: bytes | bytearray, settings: GatewaySettings) -> AnyTextsRequest:
        """Return what a body asks for.

        Raises:
            InvalidRequest: The body has another form, or asks for more than the settings allow.
        """
        asked = parse(self.schema, body)
        check_limits(asked, settings)
        return asked

    def answer(
        self, asked: AnyTextsRequest, model: ModelIdentity, found: Classification, started: float
    ) -> Response:
        """Return the answer to a request.

        Args:
            asked: The request.
            model: The model that answers.
            found: The scores of its texts.
            started: When the request came, by `time.perf_counter`.

        Raises:
            InferenceFailed: A score is no finite number.
        """
        content = self.render(asked, model.labels, found)
        total_ms = (time.perf_counter() - started) * 1000
        headers = prediction_headers(model, found, total_ms)
        return Response(content, headers=headers, media_type="application/json")


def prediction_headers(
    model: ModelIdentity, found: Classification, total_ms: float
) -> dict[str, str]:
    """Return the headers that say where a prediction came from.

    `Server-Timing` is https://www.w3.org/TR/server-timing/, in milliseconds.
    """
    times = found.times
    headers = {
        "X-Model-Id": _header_value(model.model_id),
        "X-Model-Revision": _header_value(model.revision),
        "X-Cache-Hits": str(found.hits),
        "X-Cache-Misses": str(found.misses),
        "Server-Timing": (
            f"cache;dur={times.cache:.3f}, queue;dur={times.queue:.3f}, "
            f"inference;dur={times.inference:.3f}, total;dur={total_ms:.3f}"
        ),
    }
    truncated = [str(index) for index, text in enumerate(found.texts) if text.truncated]
    if truncated:
        headers["X-Truncated"] = ",".join(truncated)
    return headers


@lru_cache(8)
def _header_value(name: str) -> str:
    """Percent-encode what a header cannot carry: a model directory may have any name."""
    return quote(name, safe=_VISIBLE_ASCII)


Transform = Literal["softmax", "sigmoid", "none"]

FRAGMENTS_KEPT = 16_384


def predictions(labels: tuple[str, ...], texts: Iterable[TextLogits]) -> bytes:
    """Return the JSON of a prediction: every label of every text.

    Args:
        labels: Label names in the order of the logits.
        texts: The request's texts, in its order.

    Raises:
        InferenceFailed: A logit is no finite number.
    """
    fragments = (fragment(labels, text.logits, "softmax", None) for text in texts)
    return b'{"predictions":[' + b",".join(fragments) + b"]}"


@lru_cache(FRAGMENTS_KEPT)
def fragment(
    labels: tuple[str, ...],
    logits: tuple[float, ...],
    transform: Transform,
    top_k: int | None,
) -> bytes:
    """Return the JSON list of one text's labels, highest score first.

    Equal scores keep the order of the labels.

    Args:
        labels: Label names.
        logits: One float32 value per label.
        transform: What turns the logits into scores.
        top_k: How many labels to return; all where it is None or larger.

    Raises:
        InferenceFailed: A logit is no finite number.
    """
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed("The model gave a text a score that is no finite number.")
    scores = map(np.float32, _TRANSFORMS[transform](logits))
    ranked = sorted(zip(labels, scores, strict=True), key=lambda pair: pair[1], reverse=True)
    items = (
        f'{{"label":{json.dumps(label)},"score":{decimal(score)}}}'
        for label, score in ranked[:top_k]
    )
    return f"[{','.join(items)}]".encode()


def decimal(value: np.float32) -> str:
    """Return the shortest plain decimal that is read back as the same float32.

    Dragon4 as in `numpy.format_float_positional`, which has no exponent form.
    """
    return np.format_float_positional(value, unique=True, trim="0")


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


def _render_predictions(_: PredictRequest, labels: tuple[str, ...], found: Classification) -> bytes:
    return predictions(labels, found.texts)


PREDICT: Final = Dialect(PredictRequest, _render_predictions)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_integer(value: Any) -> Any:
    # A number without a fraction is an integer in JSON Schema, however it is written.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Parameters(Form):
    """How to turn the model's output into an answer."""

    top_k: Annotated[int | None, BeforeValidator(_as_integer)] = Field(
        default=None, ge=1, description="All labels where it is null."
    )
    function_to_apply: Transform | None = Field(
        default=None, description="`softmax` where it is null."
    )


class HuggingFaceRequest(TextsRequest):
    """Texts to classify; a text alone is a list of one."""

    texts: Annotated[Texts, BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = (
        Field(alias="inputs", examples=["I like you", ["example 1", "example 2"]])
    )
    parameters: Parameters | None = None


class HuggingFaceAnswer(RootModel[list[list[LabelScore]]]):
    """For each text, in order, its labels, highest score first.

    A text alone is answered with a list of one too, as `InferenceClient` expects.
    """


def _render(asked: HuggingFaceRequest, labels: tuple[str, ...], found: Classification) -> bytes:
    parameters = asked.parameters or Parameters()
    transform = parameters.function_to_apply or "softmax"
    fragments = (fragment(labels, text.logits, transform, parameters.top_k) for text in found.texts)
    return b"[" + b",".join(fragments) + b"]"


HUGGING_FACE: Final = Dialect(HuggingFaceRequest, _render)
