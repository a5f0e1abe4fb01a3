"""The ordinary way of a prediction, from a request's bytes to the answer's; see `fast_lane` too."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api.formats import Dialect
from serve_app.api.request_record import observation
from serve_app.errors import BodyTooLarge, DeadlineExceeded, InvalidRequest
from serve_app.gateway import SentimentService


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
        keyed = service.keyed(asked.texts)
        noted.found = found = await service.classify(keyed, within_s=seconds_left())
    return dialect.answer(asked, service.model, found, started)


async def read_body(request: Request, limit: int) -> bytearray:
    """Read the body, and stop at the first byte beyond the limit.

    Args:
        request: A request whose body nobody has read.
        limit: Most bytes that are accepted.

    Raises:
        BodyTooLarge: The declared or the received size is beyond the limit.
        InvalidRequest: The body is compressed.
        ClientDisconnect: The client left before the end of the body.
    """
    _refuse_encoded(request)
    if _declared_bytes(request) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > limit:
            raise _too_large(limit)
        body += part
    return body


def _refuse_encoded(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise InvalidRequest(
            "The body is to be sent as plain JSON, without Content-Encoding.",
            [
                {
                    "loc": ["body"],
                    "msg": "An encoded body is not accepted",
                    "type": "content_encoding",
                }
            ],
        )


def _declared_bytes(request: Request) -> int:
    try:
        return int(request.headers.get("content-length", 0))
    except ValueError:
        return 0


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {limit} bytes.")


DEADLINE_HEADER: Final = "X-Deadline-Ms"
MAX_DIGITS: Final = 9


def allowed_s(asked_ms: str | None, longest_s: float) -> float:
    """Return how many seconds a request may take.

    Args:
        asked_ms: The client's `X-Deadline-Ms`, if any.
        longest_s: What it gets at most, and where it does not ask.

    Raises:
        InvalidRequest: It asks for no positive whole number of milliseconds.
    """
    if asked_ms is None:
        return longest_s
    digits = asked_ms.lstrip("0")[:MAX_DIGITS]
    if not (digits and asked_ms.isascii() and asked_ms.isdigit()):
        msg = "A positive whole number of milliseconds is accepted"
        place = ["header", DEADLINE_HEADER.lower()]
        raise InvalidRequest(
            f"{DEADLINE_HEADER} is not a number of milliseconds.",
            [{"loc": [*place], "msg": msg, "type": "int_parsing"}],
        )
    return min(int(digits) / 1000, longest_s)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[Callable[[], float]]:
    """Cancel the block when it takes longer than this.

    Args:
        seconds: Most time that the block may take.

    Yields:
        A function that returns the seconds left, never fewer than zero.

    Raises:
        DeadlineExceeded: The block was cancelled. A `TimeoutError` of the block's own passes
            unchanged.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    timer = asyncio.timeout_at(end)
    try:
        async with timer:
            yield lambda: max(0.0, end - loop.time())
    except TimeoutError:
        if not timer.expired():
            raise
        raise DeadlineExceeded(f"There was no answer within {seconds:g} seconds.") from None
