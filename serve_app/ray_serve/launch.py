"""Starts the service in an environment and a directory of its own, and ends all its processes.

The process of the service is `python -m serve_app.ray_serve.launch CONFIG`.
"""

import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import psutil
import yaml

from serve_app.console import colours, fail, interrupt_by_signals
from serve_app.errors import StartupError
from serve_app.telemetry import tracing as exporter

# All processes of a run inherit this variable, by which they are found.
RUN_ID: Final = "SENTIMENT_RUN_ID"
# Ray starts this program as its HAProxy, see `haproxy.py`; in the image, the Dockerfile names it.
HAPROXY: Final = {
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(sysconfig.get_path("scripts"), "sentiment-haproxy"))
}
# Below the directory of a run, where Ray adds a node's id before the last part of each path.
HAPROXY_FILES: Final = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "s",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "m",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "state",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
}
PREFIX: Final = "sentiment-"
# The path of a socket has at most 107 bytes. HAProxy's ends with /<node>/s.<process>.tmp.
MAX_TMPDIR_BYTES: Final = 107 - len("/" + 56 * "n" + "/s.4194304.tmp") - len(f"/{PREFIX}xxxxxxxx")
TMP: Final = "/tmp"  # noqa: S108  (only as the parent of a private directory)
END_TIMEOUT_S: Final = 10.0
SIGNALLED: Final = 128


def launch(path: Path) -> int:
    """Serve a configuration file until SIGINT, SIGTERM or SIGHUP; a second one kills the service.

    Return the exit status: 0 after an interrupt, else that of the service; 128 + n where signal n
    ended it, as in a shell. Raises `StartupError` as `private_directory` and `environment`.
    """
    run_id = uuid.uuid4().hex
    with private_directory() as directory:
        # A session of its own keeps Ctrl-C from reaching Ray's processes before they are shut down.
        service = subprocess.Popen(
            [sys.executable, "-m", "serve_app.ray_serve.launch", str(path)],
            env=environment(path, run_id, directory),
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


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory that other users cannot enter, and remove it at the end.

    It is in $TMPDIR, or in /tmp where $TMPDIR is too long for the paths of sockets. Raises
    `StartupError` if it cannot be made.
    """
    parent = os.path.abspath(os.environ.get("TMPDIR", TMP))
    if len(os.fsencode(parent)) > MAX_TMPDIR_BYTES:
        parent = TMP
    try:
        made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        problem = f"cannot make a directory in {parent}: {error.strerror}"
        raise StartupError(problem, "set TMPDIR to a directory that can be written") from None
    with made as directory:
        yield Path(directory)


def environment(path: Path, run_id: str, directory: Path) -> dict[str, str]:
    """Return the environment of a run, whose only Ray settings are those of its configuration.

    The service itself reports errors of that file. Raises `StartupError` as `tracing.variables`.
    """
    try:
        configured = dict(yaml.safe_load(path.read_text())["environment"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError):
        configured = {}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        # Whoever can talk to a Ray can run code on it, so only this run knows the token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray colours the name before a replica's lines, in files too.
        **({} if colours() else {"RAY_COLOR_PREFIX": "0"}),
        # A run is one node: without clusters, Ray's own ports are on loopback alone. The switch
        # works on Linux too.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        **HAPROXY,
        **exporter.variables(os.environ),
        **{str(name): str(value) for name, value in configured.items()},
        "RAY_TMPDIR": str(directory),
        **{name: str(directory / file) for name, file in HAPROXY_FILES.items()},
        RUN_ID: run_id,
    }


def end_processes(run_id: str, session: int) -> None:
    """End what a run has left behind, as HAProxy, which outlives its parent.

    Some of Ray's processes overwrite the environment that has the run's id, others open a session
    of their own.
    """
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mine = os.getsid(process.pid) == session or process.environ().get(RUN_ID) == run_id
            if mine and process.pid != os.getpid():
                process.terminate()
                left.append(process)
    _, alive = psutil.wait_procs(left, timeout=END_TIMEOUT_S)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def main() -> None:
    """Run the service in this process; print an error in one line."""
    interrupt_by_signals()
    try:
        # The import takes a second, in which Ctrl-C has to work too.
        from serve_app.ray_serve.run import run  # noqa: PLC0415

        run(Path(sys.argv[1]))
    except StartupError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
