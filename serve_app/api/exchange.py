"""The ordinary way of a prediction, from a request's bytes to the answer's; see `fast_lane` too."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.body import read_body
from serve_app.api.deadline import DEADLINE_HEADER, allowed_s, deadline
from serve_app.api.dialect import Dialect
from serve_app.api.report import observation
from serve_app.gateway.service import SentimentService


async def exchange(service: SentimentService, dialect: Dialect[Any], request: Request) -> Response:
    """Answer a request about texts.

    Args:
        service: Scores the texts.
        dialect: What the body looks like, and the answer.
        request: A request whose body nobody has read.

    Raises:
        ServiceError: The request cannot be answered.
        ClientDisconnect: The client left before the end of the body.
    """
    started = time.perf_counter()
    settings, noted = service.settings, observation(request.scope)
    limit_s = allowed_s(request.headers.get(DEADLINE_HEADER), settings.deadline_s)
    async with deadline(limit_s) as seconds_left:
        # No name keeps the body: it may be megabytes, and the answer seconds away.
        asked = dialect.read(await read_body(request, settings.max_body_bytes), settings)
        noted.texts = len(asked.texts)
        noted.found = found = await service.classify(asked.texts, within_s=seconds_left())
    return dialect.answer(asked, service.model, found, started)
