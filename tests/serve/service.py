import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil
import yaml

from loadtest.ports import free_port
from serve_app.ray_serve.config import read
from serve_app.ray_serve.run import HAPROXY_PORTS

CONFIGS = Path(__file__).parents[2] / "configs"
DEV = CONFIGS / "dev.yaml"
PROD = CONFIGS / "prod.yaml"
MARK = "SENTIMENT_TEST_MARK"
START_TIMEOUT_S = 120.0


def configured(
    directory: Path, args: dict[str, Any], *, with_lab: bool = False, **changes: Any
) -> Path:
    """Write the development configuration with other arguments and a free port."""
    content = read(DEV) | changes
    if not with_lab:
        content["applications"] = content["applications"][:1]
    content["http_options"] = {"host": "127.0.0.1", "port": free_port()}
    content["metrics_port"] = free_port()
    content["applications"][0]["args"] |= args
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def haproxy_environment() -> dict[str, str]:
    """Return production's settings of HAProxy, but for what one machine and a hurry want."""
    settings = read(PROD)["environment"]
    return {name: value for name, value in settings.items() if "HAPROXY" in name} | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.ray_serve.proxy:middlewares",
        **{name: str(free_port()) for name in HAPROXY_PORTS},
    }


class Service:
    """`sentiment serve` in a process of its own, started and ended as a user does.

    Args:
        config: The configuration file.
        output: Where standard output goes; the tests' own where it is None.
        environment: Variables that the user's shell has set.
    """

    def __init__(self, config: Path, output: IO[str] | None = None, /, **environment: str) -> None:
        content = read(config)
        self.url = f"http://127.0.0.1:{content['http_options']['port']}"
        self.metrics_url = f"http://127.0.0.1:{content['metrics_port']}/metrics"
        self.printed: list[str] = []
        self._mark = uuid.uuid4().hex
        self._sessions: set[int] = set()
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "serve_app.cli", "serve", str(config)],
            env={**os.environ, **environment, MARK: self._mark},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        if not self._ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            self.interrupt()
            raise AssertionError("".join(self.printed))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.interrupt()

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Ask the service to end, as Ctrl-C does, and return its exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self._process.wait()
        self._reader.join()
        if self._process.stderr:
            self._process.stderr.close()
        return status

    def processes(self, named: str = "") -> list[psutil.Process]:
        """Return the processes of this run that are alive, by a part of their name.

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

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.printed.append(line)
            if "starting Ray" in line:
                self._sessions = {
                    child.pid for child in psutil.Process(self._process.pid).children()
                }
            if "Ctrl-C ends it" in line:
                self._ready.set()
        self._ready.set()
