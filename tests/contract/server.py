import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.app import create_app
from serve_app.api.predict import FREE_BYTES
from serve_app.gateway import SentimentService
from serve_app.ray_serve.cached_responses import Source, cached_responses


def hosted(service: SentimentService) -> ASGIApp:
    """Return the application as Ray Serve hosts it."""
    return RequestIdMiddleware(create_app(service))


def behind_cached_responses(service: SentimentService) -> ASGIApp:
    """Return the application as it is reached in production, where memory is asked first."""
    answering = cached_responses(hosted(service), lambda: Source(service, []))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(scope, _as_uvicorn(scope, receive), send)

    return app


def _as_uvicorn(scope: Scope, receive: Receive) -> Receive:
    """Join the parts of a small body, as uvicorn joins those of one that has arrived."""
    if Headers(scope=scope).get("content-length") is None:
        return receive
    parts: list[Message] = []

    async def joined() -> Message:
        if parts:
            return await receive()
        parts.append(await receive())
        while parts[-1].get("more_body") and _size(parts) < FREE_BYTES:
            parts.append(await receive())
        body = b"".join(part.get("body", b"") for part in parts)
        return {**parts[-1], "body": body}

    return joined


def _size(parts: Sequence[Message]) -> int:
    return sum(len(part.get("body", b"")) for part in parts)


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application on a real socket, in a thread, and yield its URL."""
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off")
    sock = config.bind_socket()
    sock.listen()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
