"""`python -m loadtest.scale`: runs the scale test and ends every process that it started."""

import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from loadtest.ports import free_port
from loadtest.scale.lab import PROD
from serve_app.ray_serve.launch import end_processes, environment
from serve_app.ray_serve.run import HAPROXY_PORTS

PARTS: Final = ("throughput", "gateway", "steps", "constant", "gateways", "nodes")
ONE_NODE: Final = PARTS[:-1]
# What is not as in a pod.
SETTINGS: Final = {
    # By default Ray lets its workers yield to every other process; in a pod there is no other.
    "RAY_worker_niceness": "0",
    # A pod's output holds every line of Ray and every request's; a person wants the figures.
    "RAY_LOG_TO_STDERR": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


def main(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; all on one node by default.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes, for CI.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of JSON and PNG.")] = Path("results/scale"),
) -> None:
    """Measure how the service follows its load, with an engine that sleeps."""
    if unknown := set(parts or ()) - set(PARTS):
        raise typer.BadParameter(f"no part is called {', '.join(sorted(unknown))}")
    out.mkdir(parents=True, exist_ok=True)
    statuses = [_run(part, "quick" if quick else "full", out) for part in parts or ONE_NODE]
    sys.exit(max(statuses))


def _run(part: str, extent: str, out: Path) -> int:
    """Run a part with a Ray of its own."""
    run_id = uuid.uuid4().hex
    # A folder of its own, because Ray's clusters of several nodes leave their address in it.
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as directory:
        # Another run may have the usual ones.
        ports = {name: str(free_port()) for name in HAPROXY_PORTS}
        # Ray reads its settings when it is imported, so they belong to another process.
        program = subprocess.Popen(
            [sys.executable, "-m", "loadtest.scale.program", part, extent, str(out)],
            env=environment(PROD, run_id, Path(directory)) | SETTINGS | ports,
            start_new_session=True,
        )
        return _wait(program, run_id)


def _wait(program: subprocess.Popen[bytes], run_id: str) -> int:
    """Wait for the program, pass on what asks it to end, and leave no process of it behind."""

    def end(signum: int, frame: FrameType | None) -> None:
        program.send_signal(signum)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        return program.wait()
    finally:
        end_processes(run_id, program.pid)


if __name__ == "__main__":
    typer.run(main)
