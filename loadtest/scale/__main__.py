"""`python -m loadtest.scale`: runs the scale test and ends every process that it started."""

import signal
import subprocess
import sys
import uuid
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from loadtest.scale.lab import PROD
from serve_app.launch import end_processes, environment


def main(
    part: Annotated[
        Literal["scale", "nodes"], typer.Argument(help="One node, or four of which one is lost.")
    ] = "scale",
    quick: Annotated[bool, typer.Option("--quick", help="Minutes, for CI.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of JSON and PNG.")] = Path("results/scale"),
) -> None:
    """Measure how the service follows its load, with an engine that sleeps."""
    out.mkdir(parents=True, exist_ok=True)
    run_id = uuid.uuid4().hex
    extent = "quick" if quick else "full"
    # Ray reads its settings when it is imported, so they belong to another process.
    program = subprocess.Popen(
        [sys.executable, "-m", "loadtest.scale.program", part, extent, str(out)],
        env=environment(PROD, run_id),
        start_new_session=True,
    )

    def end(signum: int, frame: FrameType | None) -> None:
        program.send_signal(signum)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        status = program.wait()
    finally:
        end_processes(run_id, program.pid)
    sys.exit(status)


if __name__ == "__main__":
    typer.run(main)
