"""The predict endpoint: limits, body, parse, classify, render."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve_app import errors
from serve_app.api.formats import RequestFormat
from serve_app.api.middleware import check_key, check_origin
from serve_app.api.problems import CLIENT_LEFT, problem, service_error
from serve_app.api.request_record import Observer, RequestRecord
from serve_app.api.schemas import DEADLINE_HEADER, TextsRequest
from serve_app.gateway import SentimentService
from serve_app.scores import KeyedTexts

MAX_DIGITS: Final = 9
# The first bytes of each body are not counted: Ray bounds the number of requests
# (`max_ongoing_requests`), so large bodies that stall do not keep small requests out.
FREE_BYTES: Final = 16 * 1024

PARSED: Final = "sentiment.parsed"
"""The key of a request's scope under which an earlier stage leaves its `ParsedRequest`."""


class ParsedRequest(NamedTuple):
    """A valid request, and its texts with their cache keys."""

    asked: TextsRequest
    keyed: KeyedTexts


@dataclass(frozen=True)
class PredictEndpoint:
    """ASGI endpoint that scores the texts of a request; observers get a record at its end."""

    service: SentimentService
    request_format: RequestFormat
    budget: "BodyBudget"
    observers: Sequence[Observer] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, and record it."""
        request, record = Request(scope, receive), RequestRecord()
        try:
            response = await self._answer(request, record)
            await response(scope, receive, send)
            record.status = response.status_code
        finally:
            record.end(self.observers, scope)

    async def _answer(self, request: Request, record: RequestRecord) -> Response:
        try:
            return await self._predict(request, record)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)
        except Exception as error:
            known = service_error(request, error)
            record.outcome = known.slug
            return problem(request, known)

    async def _predict(self, request: Request, record: RequestRecord) -> Response:
        service, settings = self.service, self.service.settings
        check_key(settings, request.scope)
        if request.method != "POST":
            raise errors.MethodNotAllowed("POST")
        check_origin(request.scope, settings.cors_origins)
        limit_s = allowed_s(request.headers.get(DEADLINE_HEADER), settings.deadline_s)
        with self.budget.reserve(settings.max_pending_bytes) as count_bytes:
            async with deadline(limit_s) as seconds_left:
                parsed = request.scope.get(PARSED)
                if parsed is None:
                    reading = read_body(request, settings.max_body_bytes, count_bytes)
                    # No name keeps the body: it may be megabytes, and the answer seconds away.
                    parsed = parse_request(service, self.request_format, await reading)
                record.texts = len(parsed.keyed.texts)
                result = await service.classify(parsed.keyed, within_s=seconds_left())
        record.add_result(result)
        return self.request_format.respond(parsed.asked, service.model, result, record.started)


def parse_request(
    service: SentimentService, request_format: RequestFormat, body: bytes | bytearray
) -> ParsedRequest:
    """Parse a body and hash its texts; raises `InvalidRequest` as `RequestFormat.parse`."""
    asked = request_format.parse(body, service.settings)
    return ParsedRequest(asked, service.keyed(asked.texts))


async def read_body(request: Request, limit: int, count_bytes: Callable[[int], None]) -> bytearray:
    """Read a body, up to the first byte beyond the limit, and count the bytes of each part.

    Raises `InvalidRequest` for a compressed body, `BodyTooLarge` for its declared or received
    size, `Overloaded` as `count_bytes`, and `ClientDisconnect` if the client leaves.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise errors.InvalidRequest.at(
            ["body"],
            "The body is to be sent as plain JSON, without Content-Encoding.",
            "An encoded body is not accepted",
            "content_encoding",
        )
    too_large = errors.BodyTooLarge(f"The body has more than {limit} bytes.")
    with suppress(ValueError):
        if int(request.headers.get("content-length", 0)) > limit:
            raise too_large
    body = bytearray()
    async for part in request.stream():
        count_bytes(len(part))
        if len(body) + len(part) > limit:
            raise too_large
        body += part
    return body


class BodyBudget:
    """A bound on the bytes of all bodies that a gateway holds at a time, `pending` ones."""

    def __init__(self) -> None:
        self.pending = 0

    @contextmanager
    def reserve(self, max_pending: int) -> Iterator[Callable[[int], None]]:
        """Count the bytes of one body until the end of the block.

        It yields a function that counts more, and raises `Overloaded` beyond `max_pending` in all.
        """
        counted = -FREE_BYTES

        def count_bytes(count: int) -> None:
            nonlocal counted
            more = max(0, counted + count) - max(0, counted)
            if more and self.pending + more > max_pending:
                raise errors.Overloaded("The bodies of other requests take all the room there is.")
            self.pending += more
            counted += count

        try:
            yield count_bytes
        finally:
            self.pending -= max(0, counted)


def allowed_s(asked_ms: str | None, max_s: float) -> float:
    """Return how many seconds a request may take, given its `X-Deadline-Ms` and the default.

    Raises `InvalidRequest` if the header is not a positive whole number.
    """
    if asked_ms is None:
        return max_s
    digits = asked_ms.lstrip("0")[:MAX_DIGITS]
    if not (digits and asked_ms.isascii() and asked_ms.isdigit()):
        raise errors.InvalidRequest.at(
            ["header", DEADLINE_HEADER.lower()],
            f"{DEADLINE_HEADER} is not a number of milliseconds.",
            "A positive whole number of milliseconds is accepted",
            "int_parsing",
        )
    return min(int(digits) / 1000, max_s)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[Callable[[], float]]:
    """Cancel the block and raise `DeadlineExceeded` when it takes longer than this.

    It yields a function that returns the seconds left, at least zero. A `TimeoutError` of the
    block's own passes.
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
        raise errors.DeadlineExceeded(f"There was no answer within {seconds:g} seconds.") from None
