"""The JSON forms of predictions: the contract's and Hugging Face's."""

import json
import math
import string
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from pydantic import ValidationError
from starlette.responses import Response

from serve_app.api import schemas
from serve_app.errors import FieldError, InferenceFailed, InvalidRequest
from serve_app.model.parity import probabilities
from serve_app.model.store import ModelIdentity
from serve_app.scores import Classification, TextLogits
from serve_app.settings import GatewaySettings

MAX_ERRORS: Final = 16
MAX_KEY_CHARS: Final = 64
MAX_RENDERED: Final = 16_384
"""Texts whose part of an answer is kept: it depends on nothing but their logits."""

Labels = tuple[str, ...]


@dataclass(frozen=True)
class RequestFormat:
    """The JSON form of a request and of its answer.

    `render` returns the answer's JSON, given the request, the model and the logits.
    `instead` says, by place in the body, what to write in place of what is refused.
    """

    schema: type[schemas.TextsRequest]
    render: Callable[[Any, ModelIdentity, Sequence[TextLogits]], bytes]
    instead: Mapping[tuple[int | str, ...], str] = field(default_factory=dict)

    def parse(self, body: bytes | bytearray, settings: GatewaySettings) -> schemas.TextsRequest:
        """Parse a body; its bytes count, whatever Content-Type it was sent with.

        Raises `InvalidRequest` if it is not JSON of this form, or exceeds a limit. Errors repeat
        nothing of it but the names of its fields, shortened.
        """
        try:
            asked = self.schema.model_validate_json(body)
        except ValidationError as error:
            raise InvalidRequest(
                "The body is not the JSON asked for.", _places(error, self.instead)
            ) from None
        check_limits(asked, settings)
        return asked

    def respond(
        self,
        asked: schemas.TextsRequest,
        model: ModelIdentity,
        result: Classification,
        started: float,
    ) -> Response:
        """Return the answer to a request that `started`; `InferenceFailed` as `label_scores`."""
        content = self.render(asked, model, result.logits)
        total_ms = (time.perf_counter() - started) * 1000
        headers = prediction_headers(model, result, total_ms)
        return Response(content, headers=headers, media_type="application/json")


def check_limits(asked: schemas.TextsRequest, settings: GatewaySettings) -> None:
    """Refuse more or longer texts than the settings allow with `InvalidRequest`."""
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
    truncated = [str(index) for index, text in enumerate(result.logits) if text.truncated]
    if truncated:
        headers["X-Truncated"] = ",".join(truncated)
    return headers


@lru_cache(MAX_RENDERED)
def label_scores(
    labels: Labels, logits: tuple[float, ...], transform: schemas.Transform, top_k: int | None
) -> bytes:
    """Return the JSON list of one text's labels, highest score first; equal ones in their order.

    There is one float32 logit per label: `InferenceFailed` is raised if one is not finite. At most
    `top_k` labels are returned, or all.
    """
    if not all(map(math.isfinite, logits)):
        raise InferenceFailed("The model gave a text a score that is not finite.")
    values = np.array(logits)
    exact = values if transform == "none" else probabilities(values, transform)
    scores = exact.astype(np.float32)
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


def _render_predictions(
    _: schemas.PredictRequest, model: ModelIdentity, texts: Sequence[TextLogits]
) -> bytes:
    lists = (label_scores(model.labels, text.logits, model.transform, None) for text in texts)
    return b'{"predictions":[' + b",".join(lists) + b"]}"


def _render_hugging_face(
    asked: schemas.HuggingFaceRequest, model: ModelIdentity, texts: Sequence[TextLogits]
) -> bytes:
    parameters = asked.parameters or schemas.Parameters()
    transform = parameters.function_to_apply or model.transform
    best_alone = parameters.return_all_scores is False
    top_k = parameters.top_k or (1 if best_alone else None)
    lists = (label_scores(model.labels, text.logits, transform, top_k) for text in texts)
    return b"[" + b",".join(lists) + b"]"


@lru_cache(8)
def _header_value(name: str) -> str:
    """Percent-encode what a header cannot carry: a model directory may have any name."""
    return quote(name, safe=string.punctuation.replace("%", ""))


def _places(
    error: ValidationError, instead: Mapping[tuple[int | str, ...], str]
) -> list[FieldError]:
    if error.error_count() > MAX_ERRORS:
        # Listing them takes pydantic seconds for the many unknown fields that a body can hold.
        msg = f"More than {MAX_ERRORS} fields are missing or unknown"
        return [{"loc": ["body"], "msg": msg, "type": "too_many_errors"}]
    places: list[FieldError] = []
    for place in error.errors(include_url=False, include_context=False, include_input=False):
        loc = (key[:MAX_KEY_CHARS] if isinstance(key, str) else key for key in place["loc"])
        msg = ". ".join(filter(None, (place["msg"], instead.get(place["loc"]))))
        places.append({"loc": ["body", *loc], "msg": msg, "type": place["type"]})
    return places


PREDICT: Final = RequestFormat(schemas.PredictRequest, _render_predictions)
_INSTEAD: Final[dict[tuple[int | str, ...], str]] = {
    **{(name,): "Write it in parameters" for name in schemas.Parameters.model_fields},
    **{(name,): "Write it in options" for name in schemas.Options.model_fields},
    **{(name,): "Write the texts as inputs" for name in ("text", "texts", "sequences")},
    ("parameters", "truncation"): "Leave it out: a text over max_tokens of /project/info is "
    "truncated, and X-Truncated names it",
    ("parameters", "max_length"): "Leave it out: max_tokens of /project/info holds for all texts",
    ("parameters", "padding"): "Leave it out: it does not change a score",
    ("parameters", "candidate_labels"): "Leave it out: /project/info names the model's labels",
    ("parameters", "raw_scores"): 'Write "function_to_apply": "none"',
    ("options", "use_gpu"): "Leave it out: who runs the service chooses what it runs on",
}
HUGGING_FACE: Final = RequestFormat(schemas.HuggingFaceRequest, _render_hugging_face, _INSTEAD)

PREDICTIONS: Final = {
    "/project": HUGGING_FACE,
    "/project/predict": PREDICT,
    "/project/bulk-predict": PREDICT,
}
"""The paths that answer with predictions, by POST."""
