"""Starts services, and other programs, in processes of their own and ends all of these."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
import psutil

from loadtest.configs import write_config
from loadtest.processes import serving
from loadtest.redis_server import RedisServer
from serve_app.console import say
from serve_app.errors import StartupError
from serve_app.ray_serve.config import read

LOG: Final = "service.log"
START_TIMEOUT_S: Final = 300.0
END_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.2
LOCAL: Final = {"127.0.0.1", "localhost", "::1"}
HTTP_PORT: Final = 80
# Tells the processes that a server has started from others.
MARK: Final = "SENTIMENT_LOADTEST_MARK"


class Running(NamedTuple):
    """A service that answers.

    Attributes:
        url: Where.
        roots: Its first processes, if it runs on this machine and can be observed.
    """

    url: str
    roots: tuple[psutil.Process, ...]


class Server:
    """A server in a process of its own, which answers while entered.

    Args:
        command: What starts it.
        variables: Its whole environment.
        ready: Whether it answers, given what it has printed.
        output: Where standard output goes; by default, to this process's own.
        log: Where standard error goes; by default, to a file that is removed at its end.
        quiet: Whether standard output goes there too.
    """

    def __init__(
        self,
        command: list[str],
        variables: Mapping[str, str],
        ready: Callable[[str], bool],
        output: IO[str] | None = None,
        log: Path | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._ready = ready
        self._sessions: set[int] = set()
        self._log = log
        self._file = log.open("ab+") if log else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            env={**variables, MARK: self._mark},
            stdout=self._file if quiet else output,
            stderr=self._file,
            # A session of its own keeps Ctrl-C from ending the service before the load.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self._process.pid

    @property
    def root(self) -> psutil.Process:
        """Its first process."""
        return psutil.Process(self.pid)

    @property
    def printed(self) -> list[str]:
        """The lines that it has printed to standard error, or to its log."""
        if not self._file.closed:
            # Reading at a place of its own does not move where the server writes.
            file = self._file.fileno()
            self._content = os.pread(file, os.fstat(file).st_size, 0)
        return self._content.decode(errors="replace").splitlines(keepends=True)

    def __enter__(self) -> Self:
        """Wait until it answers.

        Raises:
            StartupError: It ended or did not answer in time; says what it printed last.
        """
        give_up = time.monotonic() + START_TIMEOUT_S
        while not self._ready("".join(self.printed)):
            self._find_sessions()
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.close()
                last = [line.strip() for line in self.printed[-2:]] or ["no output"]
                hint = f"see {self._log}" if self._log else "".join(self.printed)
                raise StartupError(f"the service did not start: {'; '.join(last)}", hint)
            time.sleep(POLL_S)
        self._find_sessions()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Ask it to end, as Ctrl-C does, and return its exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        while self._process.poll() is None:
            self._find_sessions()
            time.sleep(POLL_S)
        # What it has printed is kept.
        _ = self.printed
        self._file.close()
        return self._process.wait()

    def close(self) -> None:
        """End it, the hard way where it does not end in time."""
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
        self._process.kill()
        self.wait()

    def processes(self, named: str = "") -> list[psutil.Process]:
        """Return the processes that it started which are alive, by a part of their name.

        Some of Ray's processes overwrite their environment, so that only their session tells.
        """
        return [process for process in psutil.process_iter() if self._is_mine(process, named)]

    def _is_mine(self, process: psutil.Process, named: str) -> bool:
        try:
            if named not in process.name() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return (
                os.getsid(process.pid) in self._sessions
                or process.environ().get(MARK) == self._mark
            )
        except (psutil.Error, OSError):
            return False

    def _find_sessions(self) -> None:
        with suppress(psutil.Error):
            self._sessions |= {child.pid for child in self.root.children()}


class Service(Server):
    """`sentiment serve` of a configuration file, started and ended as a user does.

    Args:
        config: The configuration file.
        output: Where standard output goes; by default, to this process's own.
        log: Where standard error goes; by default, to a file that is removed at its end.
        quiet: Whether standard output goes there too.
        variables: Those that the user's shell has set.
    """

    def __init__(
        self,
        config: Path,
        output: IO[str] | None = None,
        log: Path | None = None,
        /,
        **variables: str,
    ) -> None:
        content = read(config)
        self.url = f"http://127.0.0.1:{content['http_options']['port']}"
        self.metrics_url = f"http://127.0.0.1:{content.get('metrics_port')}/metrics"
        command = [sys.executable, "-m", "serve_app.cli", "serve", str(config)]
        super().__init__(
            command,
            os.environ | variables,
            lambda said: "Ctrl-C ends it" in said,
            output,
            log,
            quiet=log is not None,
        )


@contextmanager
def started(
    content: Mapping[str, Any], redis: RedisServer | None, directory: Path
) -> Iterator[Running]:
    """Serve a configuration on a free port of this machine.

    Raises:
        StartupError: The configuration or the service is at fault.
    """
    path = write_config(content, directory, {"cache": redis.url} if redis else {})
    service = Service(path, None, directory / LOG)
    say(f"starting the service on {service.url}")
    with service:
        roots = (service.root, *([psutil.Process(redis.pid)] if redis else []))
        yield Running(service.url, roots)


def running(url: str) -> Running:
    """Find a service that runs already.

    Raises:
        StartupError: It is not ready.
    """
    try:
        ready = httpx.get(f"{url}/project/ready", timeout=5).is_success
    except httpx.HTTPError:
        ready = False
    if not ready:
        raise StartupError(
            f"{url}/project/ready does not answer 200",
            "start the service there, or leave URL out to have one started",
        )
    parts = urlsplit(url)
    root = serving(parts.port or HTTP_PORT) if parts.hostname in LOCAL else None
    return Running(url, (root,) if root else ())


def eventually(true: Callable[[], object], what: str, within_s: float) -> float:
    """Wait until something is true, and return how many seconds that took.

    Raises:
        TimeoutError: It did not become true in time.
    """
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > within_s:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - begun
