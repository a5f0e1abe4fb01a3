"""A real redis-server on a free local port, controlled by its process id."""

import signal
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

from loadtest.redis_server import redis_binary

START_TIMEOUT_S = 20.0


class RedisServer:
    """Starts when entered or told to; gone when left.

    Args:
        arguments: Further command line arguments of redis-server.
        password: Password of the default user, if any.
    """

    def __init__(self, *arguments: str, password: str | None = None) -> None:
        self.port = _free_port()
        self.password = password
        self._arguments = arguments
        self._directory = tempfile.TemporaryDirectory(prefix="redis-server-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start, or start again on the same port and empty, and wait until it answers.

        Raises:
            RuntimeError: It ended or did not answer in time.
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
        except RuntimeError:
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
        assert self._process is not None, "redis-server does not run"
        self._process.send_signal(number)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if process.poll() is not None:
                raise RuntimeError(f"redis-server ended with status {process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError("redis-server did not answer in time")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._directory.cleanup()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
