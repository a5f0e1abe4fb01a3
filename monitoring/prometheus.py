"""A real Prometheus in a process of its own, and what is asked of it."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

import httpx2

from serve_app.errors import StartupError

START_TIMEOUT_S: Final = 30.0
END_TIMEOUT_S: Final = 20.0
INSTALL: Final = "install it: `apt-get install --no-install-recommends prometheus`, or a release"


def binary(name: str) -> str:
    """Return the path of `prometheus` or `promtool`.

    Raises:
        StartupError: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise StartupError(f"there is no {name} on this machine", INSTALL)
    return found


class Client:
    """Asks a Prometheus that runs.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[Any]:
        """Return the series that an expression has at this moment.

        Raises:
            ValueError: Prometheus refuses the expression; says why.
        """
        return self._get("query", query=expression)

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Any]:
        """Return the series that an expression has over some time.

        Raises:
            ValueError: Prometheus refuses the expression; says why.
        """
        return self._get("query_range", query=expression, start=start, end=end, step=step)

    def alert_states(self) -> dict[str, str]:
        """Return the state, `pending` or `firing`, of every alert that is active, by its name."""
        alerts = httpx2.get(f"{self.url}/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["state"] for alert in alerts}

    def _get(self, endpoint: str, **parameters: Any) -> list[Any]:
        answer = httpx2.post(f"{self.url}/api/v1/{endpoint}", data=parameters, timeout=60).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        result: list[Any] = answer["data"]["result"]
        return result


class Prometheus(Client):
    """Scrapes and evaluates while entered; listens on loopback alone.

    Args:
        config: Its configuration file.
        data: Where it keeps its series.
        port: Where it listens.
    """

    def __init__(self, config: Path, data: Path, port: int) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self._port = port
        self._command = [
            binary("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            StartupError: Its port is taken, it ended, or it did not answer in time.
        """
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._port))
            except OSError as error:
                raise StartupError(
                    f"cannot listen on 127.0.0.1:{self._port}: {error.strerror}",
                    "end the process that listens there (Debian starts a Prometheus of its own: "
                    "systemctl stop prometheus), or choose a port: make monitoring "
                    f"PROMETHEUS_PORT={self._port + 1}",
                ) from None
        self._process = subprocess.Popen(self._command, start_new_session=True)
        give_up = time.monotonic() + START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < give_up:
            if self._ready():
                return self
            time.sleep(0.1)
        self.__exit__(None, None, None)
        raise StartupError("Prometheus did not start", "it has said why above")

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._process
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self) -> None:
        """Wait until it ends."""
        assert self._process
        self._process.wait()

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready").is_success
        except httpx2.TransportError:
            return False
