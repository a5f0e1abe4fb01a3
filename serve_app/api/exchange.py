"""The one way of every prediction, from a request's bytes to the answer's."""

import time
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.body import read_body
from serve_app.api.deadline import DEADLINE_HEADER, allowed_s, deadline
from serve_app.api.report import observation
from serve_app.api.validation import AnyTextsRequest, check_limits, parse
from serve_app.gateway.service import SentimentService
from serve_app.model.identity import ModelIdentity
from serve_app.scores import Classification

_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


async def exchange(
    service: SentimentService,
    request: Request,
    schema: type[AnyTextsRequest],
    render: Callable[[AnyTextsRequest, tuple[str, ...], Classification], bytes],
) -> Response:
    """Answer a request about texts.

    Args:
        service: Scores the texts.
        request: A request whose body nobody has read.
        schema: Form of the body.
        render: Makes the answer's JSON of the request, the model's labels and the scores.

    Raises:
        ServiceError: The request cannot be answered.
        ClientDisconnect: The client left before the end of the body.
    """
    started = time.perf_counter()
    settings, noted = service.settings, observation(request.scope)
    limit_s = allowed_s(request.headers.get(DEADLINE_HEADER), settings.deadline_s)
    async with deadline(limit_s) as seconds_left:
        # No name keeps the body: it may be megabytes, and the answer seconds away.
        asked = parse(schema, await read_body(request, settings.max_body_bytes))
        check_limits(asked, settings)
        noted.texts = len(asked.texts)
        noted.found = found = await service.classify(asked.texts, within_s=seconds_left())
    content = render(asked, service.model.labels, found)
    total_ms = (time.perf_counter() - started) * 1000
    headers = prediction_headers(service.model, found, total_ms)
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
