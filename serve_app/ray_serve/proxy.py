"""Our stages around Ray Serve's HTTP application: in its proxy, or in each gateway behind HAProxy.

Ray Serve loads `middlewares` where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names it, as the
configuration files do.
"""

import json
import uuid
from collections import deque
from typing import Any, Final

import httptools
import uvicorn.config
from ray.serve._private import constants
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve_app import errors
from serve_app.api.middleware import check_host
from serve_app.errors import PROBLEM_JSON, ServiceError, problem_members
from serve_app.ray_serve.cached_responses import cached_responses
from serve_app.ray_serve.haproxy import allowed_hosts

# The first sets a timeout that ends in plain text, the second hides that a client has left, the
# others choose a way of routing that this service does not have.
SERVE_HEADERS: Final = {
    b"x-request-timeout-seconds",
    b"x-request-disconnect-disabled",
    b"serve-multiplexed-model-id",
    constants.SERVE_SESSION_ID.lower().replace("_", "-").encode(),
}
READ_BY_SERVE: Final = {b"x-request-id", b"traceparent", b"tracestate"}


def middlewares() -> list[Any]:
    """Return the stages that Ray Serve wraps its HTTP application in, the outermost last.

    Ray Serve calls this before it starts its HTTP server, whose protocol is chosen here too.
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{HttpProtocol.__name__}"
    stages = [Middleware(without_serve_headers), Middleware(serve_errors)]
    # Only there, the gateway is in the process and on the event loop that takes the request.
    if (
        constants.RAY_SERVE_ENABLE_DIRECT_INGRESS
        and not constants.RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD
    ):
        stages.append(Middleware(cached_responses))
    return [*stages, Middleware(own_hosts)]


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with trailers apart from headers, and a problem for what is no request."""

    def on_headers_complete(self) -> None:
        """Begin with the request."""
        # The target may name a host too, where it is no path.
        if not self.url.startswith(b"/") and (host := httptools.parse_url(self.url).host):
            self.headers.append((b"host", host))
        super().on_headers_complete()
        # uvicorn adds trailers to this list, which is the request's no longer.
        self.headers = list(self.headers)

    def send_400_response(self, msg: str) -> None:
        """Answer, and close the connection."""
        body = json.dumps(problem_members(errors.NOT_HTTP, request_id := str(uuid.uuid4())))
        self.transport.write(
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {PROBLEM_JSON}\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n"
            f"Connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


def own_hosts(app: ASGIApp) -> ASGIApp:
    """Return ASGI middleware that answers for the hosts of `ALLOWED_HOSTS` alone."""
    allowed = allowed_hosts()

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                check_host(scope, allowed)
        except errors.MisdirectedRequest as error:
            await _Answer(scope, send).fail(error)
        else:
            await app(scope, receive, send)

    return stage


def without_serve_headers(app: ASGIApp) -> ASGIApp:
    """Return ASGI middleware that removes the headers by which clients could direct Ray Serve.

    Ray Serve decodes some others, and fails on a value that is not UTF-8.
    """

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            kept = [header for header in scope["headers"] if _is_harmless(*header)]
            scope = {**scope, "headers": kept}
        await app(scope, receive, send)

    return stage


def _is_harmless(name: bytes, value: bytes) -> bool:
    # Serve takes either sign for the other in some names.
    plain = name.replace(b"_", b"-")
    if plain in READ_BY_SERVE:
        return value.decode(errors="replace").encode() == value
    return plain not in SERVE_HEADERS


PREFIX: Final = "/project"
# Every request of the API may be made twice: one that is lost with its gateway is sent again.
ATTEMPTS: Final = 3
# A larger body is not kept for another attempt.
MAX_KEPT_BYTES: Final = 256 * 1024
# Ray Serve's own errors, by status, as clients learn of them. It answers 404 while it has no route
# yet: the service's is /, and its own 404 is a problem already.
ERRORS: Final[dict[int, ServiceError]] = {
    404: errors.NOBODY,
    408: errors.LATE,
    429: errors.Overloaded("Too many requests wait for this service."),
    500: errors.FAILED,
    503: errors.NOBODY,
}


def serve_errors(app: ASGIApp) -> ASGIApp:
    """Return ASGI middleware that repeats lost requests, and writes Ray's errors as problems."""

    async def stage(scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, send)
        if scope["type"] == "http" and scope["path"] == "*":
            # Ray Serve would answer `OPTIONS *` in plain text.
            await answer.fail(errors.NOWHERE)
            return
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        sent = _Request(receive)
        for _ in range(ATTEMPTS):
            await app(scope, sent.replay(), answer)
            if answer.started or sent.left:
                return
            if not sent.whole:
                break
        await answer.fail(errors.LOST)

    return stage


class _Request:
    """The messages of a request, kept so that they can be received again.

    It knows whether the client has `left`, and whether the `whole` body so far is kept.
    """

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self.whole = True
        self._receive = receive
        self._kept: list[Message] = []
        self._bytes = 0

    def replay(self) -> Receive:
        again = deque(self._kept)

        async def receive() -> Message:
            if again:
                return again.popleft()
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.left = True
            else:
                self._keep(message)
            return message

        return receive

    def _keep(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        self.whole = self._bytes <= MAX_KEPT_BYTES
        if self.whole:
            self._kept.append(message)
        else:
            self._kept.clear()


class _Answer:
    """An answer on its way, with a problem in place of Ray Serve's own errors.

    It is `started` once a part of it was sent.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = False
        self._scope = scope
        self._send = send
        self._dropped = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self._dropped = errors.ELSEWHERE in headers
            self.started = not self._dropped
            error = ERRORS.get(message["status"])
            if self.started and error and headers.get("content-type") != PROBLEM_JSON:
                self._dropped = True
                await self.fail(error, headers.get("x-request-id"), headers.get("retry-after"))
        if not self._dropped:
            await self._send(message)

    async def fail(
        self, error: ServiceError, request_id: str | None = None, retry_after: str | None = None
    ) -> None:
        sent = Headers(scope=self._scope).get("x-request-id")
        request_id = request_id or sent or str(uuid.uuid4())
        headers = {"X-Request-ID": request_id, **error.headers}
        if retry_after and error.headers:
            headers["Retry-After"] = retry_after
        body = json.dumps(problem_members(error, request_id))
        raw = Response(body, headers=headers, media_type=PROBLEM_JSON).raw_headers
        await self._send({"type": "http.response.start", "status": error.status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body.encode()})
