"""The forms in which clients ask for predictions and get them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic
from urllib.parse import quote

from starlette.responses import Response

from serve_app.api.validation import AnyTextsRequest, check_limits, parse
from serve_app.model.identity import ModelIdentity
from serve_app.scores import Classification
from serve_app.settings import GatewaySettings

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
