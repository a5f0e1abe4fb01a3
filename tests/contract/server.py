import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.types import ASGIApp

from serve_app.api.app import create_app
from serve_app.gateway.service import SentimentService


def hosted(service: SentimentService) -> ASGIApp:
    """Return the application as Ray Serve hosts it."""
    return RequestIdMiddleware(create_app(service))


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
