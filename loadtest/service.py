"""The service under test: one that is started for the run, or one that runs already."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import psutil
import yaml

from loadtest.ports import free_port
from loadtest.processes import serving
from loadtest.redis_server import RedisServer
from serve_app.console import say
from serve_app.errors import StartupError

CONFIG: Final = "config.yaml"
LOG: Final = "service.log"
START_TIMEOUT_S: Final = 300.0
END_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.25
LOCAL: Final = {"127.0.0.1", "localhost", "::1"}
HTTP_PORT: Final = 80


class Service(NamedTuple):
    """A service that answers.

    Attributes:
        url: Where.
        roots: Its first processes, if it runs on this machine and can be observed.
    """

    url: str
    roots: tuple[psutil.Process, ...]


def running(url: str) -> Service:
    """Find a service that runs already.

    Raises:
        StartupError: It is not ready.
    """
    if not is_ready(url):
        raise StartupError(
            f"{url}/project/ready does not answer 200",
            "start the service there, or leave URL out to have one started",
        )
    parts = urlsplit(url)
    root = serving(parts.port or HTTP_PORT) if parts.hostname in LOCAL else None
    return Service(url, (root,) if root else ())


@contextmanager
def started(
    config: Mapping[str, Any], redis: RedisServer | None, directory: Path
) -> Iterator[Service]:
    """Serve a configuration on a free port of this machine.

    Args:
        config: Content of a configuration file.
        redis: Serves the cache, in place of the configured one.
        directory: Where the configuration as it was served and the service's log are kept.

    Raises:
        StartupError: The configuration or the service is at fault.
    """
    content: Any = deepcopy(config)
    port = free_port()
    content["http_options"] = {"host": "127.0.0.1", "port": port}
    if redis:
        content["applications"][0]["args"]["cache"] = redis.url
    (directory / CONFIG).write_text(yaml.safe_dump(content, sort_keys=False))
    url = f"http://127.0.0.1:{port}"
    log = directory / LOG
    command = [sys.executable, "-m", "serve_app.cli", "serve", str(directory / CONFIG)]
    say(f"starting the service on {url}")
    with log.open("w") as output:
        # A session of its own keeps Ctrl-C from ending the service before the load.
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait(process, url, log)
        roots = [process.pid] + ([redis.pid] if redis else [])
        yield Service(url, tuple(psutil.Process(pid) for pid in roots))
    finally:
        _end(process)


def is_ready(url: str) -> bool:
    """Tell whether a service would answer a prediction now."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/project/ready", timeout=5).is_success
    return False


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while not is_ready(url):
        if process.poll() is not None or time.monotonic() > give_up:
            last = (log.read_text().splitlines() or ["no output"])[-2:]
            raise StartupError(f"the service did not start: {'; '.join(last)}", f"see {log}")
        time.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
