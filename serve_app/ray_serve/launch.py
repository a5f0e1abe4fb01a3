"""Gives the service a clean environment and takes every process it started down with it."""

import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import uuid
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

import psutil
import yaml

from serve_app.console import colours
from serve_app.telemetry import tracing as exporter

# Every process of a run inherits this variable, which tells them from the processes of others.
RUN_ID: Final = "SENTIMENT_RUN_ID"
# Ray starts this program as its HAProxy, see `haproxy.py`; in the image, the Dockerfile names it.
HAPROXY: Final = {
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(sysconfig.get_path("scripts"), "sentiment-haproxy"))
}
END_TIMEOUT_S: Final = 10.0
SIGNALLED: Final = 128


def launch(path: Path) -> int:
    """Serve a configuration file until SIGINT, SIGTERM or SIGHUP; a second one ends it at once.

    Args:
        path: The configuration file.

    Returns:
        Exit status: 0 after an interrupt, else that of the service; 128 + n where signal n
        ended it, as in a shell.
    """
    run_id = uuid.uuid4().hex
    # A session of its own keeps Ctrl-C from reaching Ray's processes before they are shut down.
    service = subprocess.Popen(
        [sys.executable, "-m", "serve_app", str(path)],
        env=environment(path, run_id),
        start_new_session=True,
    )
    interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        service.send_signal(signal.SIGKILL if interrupted else signal.SIGINT)
        interrupted = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        status = service.wait()
        return status if status >= 0 else SIGNALLED - status
    finally:
        end_processes(run_id, service.pid)


def environment(path: Path, run_id: str) -> dict[str, str]:
    """Return the environment of a run: this one, but with the configuration's Ray settings alone.

    Args:
        path: The configuration file; what is wrong with it, the service itself reports.
        run_id: Identifies the run.

    Raises:
        StartupError: Traces are to be exported, but the exporter is not installed.
    """
    try:
        configured = dict(yaml.safe_load(path.read_text())["environment"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        configured = {}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        # Whoever can talk to a Ray can run code on it, so only this run knows the token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Of the name before a replica's lines, which Ray colours in files too.
        **({} if colours() else {"RAY_COLOR_PREFIX": "0"}),
        # A run is one node: with clusters off, Ray's own ports, the metrics' among them, are on
        # loopback alone. The switch works on Linux too.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        **HAPROXY,
        **exporter.variables(os.environ),
        **{str(name): str(value) for name, value in configured.items()},
        RUN_ID: run_id,
    }


def end_processes(run_id: str, session: int) -> None:
    """End what a run has left behind, HAProxy for one, which outlives its parent.

    Args:
        run_id: Identifies the run in the environment of its processes.
        session: The session that the run's processes were started in. Some of Ray's processes
            overwrite their environment, others open a session of their own.
    """
    left = [process for process in psutil.process_iter() if _belongs(process, run_id, session)]
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=END_TIMEOUT_S)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def _belongs(process: psutil.Process, run_id: str, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session or process.environ().get(RUN_ID) == run_id
    except (psutil.Error, OSError):
        return False
