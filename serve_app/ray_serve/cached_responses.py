"""Answers from a gateway's memory, before Ray Serve's own work on a request.

Ray Serve makes tasks, contexts and records for each request, and the application has its stages:
together they take several times as long as an answer from memory (docs/benchmarks.md). They let
a request be cancelled, counted, drained and cut off at its deadline, which matters where it waits
for the cache, the model or its body.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ray import serve
from ray.serve.exceptions import RayServeException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.formats import PREDICTIONS
from serve_app.api.middleware import FETCH_SITE, NO_SNIFF, check_key
from serve_app.api.predict import FREE_BYTES, MAX_DIGITS, PARSED, parse_request
from serve_app.api.request_record import Observer, RequestRecord
from serve_app.api.schemas import DEADLINE_HEADER
from serve_app.errors import ServiceError
from serve_app.gateway import SentimentService
from serve_app.settings import GatewaySettings

# A body comes with its head or a moment later. The application waits longer, with a deadline.
BODY_WAIT_S: Final = 0.02
REQUEST_ID: Final = b"x-request-id"
ADDED_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in NO_SNIFF.items()]
# The application reads these headers.
SPECIAL_HEADERS: Final = {
    DEADLINE_HEADER.lower().encode(),
    FETCH_SITE.encode(),
    b"content-encoding",
    b"origin",
}


class Source(NamedTuple):
    """The gateway of this process, and the observers of its requests."""

    service: SentimentService
    observers: Sequence[Observer]


def replica_source() -> Source | None:
    """Return the source of the Ray Serve replica in this process, if it has one."""
    try:
        replica = serve.get_replica_context().servable_object
    except RayServeException:
        # Behind HAProxy, Ray Serve has a proxy of its own to fall back on.
        return None
    source: Source | None = getattr(replica, "cached_responses", None)
    return source


def cached_responses(app: ASGIApp, source: Callable[[], Source | None] = replica_source) -> ASGIApp:
    """Return ASGI middleware that answers a request if all of its texts are in memory.

    `source` returns the gateway, once there is one; `app` answers all other requests.
    """

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        found = source()
        if found is None or not can_answer(scope, found.service.settings):
            await app(scope, receive, send)
            return
        record = RequestRecord()
        first = await _first_message(receive)
        response = None if first is None else get_cached(found.service, scope, first, record)
        if response is None:
            await app(scope, receive if first is None else _replay(first, receive), send)
            return
        response.raw_headers += [*ADDED_HEADERS, (REQUEST_ID, _request_id(scope))]
        try:
            await response(scope, receive, send)
            record.status = response.status_code
        finally:
            record.end(found.observers, scope)

    return stage


def can_answer(scope: Scope, settings: GatewaySettings) -> bool:
    """Tell, without the body, whether a request may be answered from memory."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PREDICTIONS:
        return False
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"")
    try:
        check_key(settings, scope)
    except ServiceError:
        return False
    return (
        SPECIAL_HEADERS.isdisjoint(headers)
        and headers.get(REQUEST_ID, b"").isascii()
        and declared.isdigit()
        # Python refuses to read a number of thousands of digits.
        and len(declared) <= MAX_DIGITS
        and int(declared) <= min(FREE_BYTES, settings.max_body_bytes)
    )


def get_cached(
    service: SentimentService, scope: Scope, message: Message, record: RequestRecord
) -> Response | None:
    """Return the answer to a request, whose first message this is, if memory has all of it.

    The record gets its texts and result. A request that is valid but not in memory is kept parsed
    for the application.
    """
    if message["type"] != "http.request" or message.get("more_body"):
        return None
    request_format = PREDICTIONS[scope["path"]]
    try:
        parsed = parse_request(service, request_format, message.get("body", b""))
        record.texts = len(parsed.keyed.texts)
        result = service.get_cached(parsed.keyed)
        if result is None:
            scope[PARSED] = parsed
            return None
        record.add_result(result)
        return request_format.respond(parsed.asked, service.model, result, record.started)
    except Exception:
        # The application meets the error again, and tells the client and the log.
        return None


async def _first_message(receive: Receive) -> Message | None:
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            return await receive()
    except TimeoutError:
        return None


def _replay(first: Message, receive: Receive) -> Receive:
    messages = [first]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _request_id(scope: Scope) -> bytes:
    """Return the request's id; a request without one gets one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            return bytes(value)
    request_id = str(uuid.uuid4()).encode()
    scope["headers"] = [*scope["headers"], (REQUEST_ID, request_id)]
    return request_id
