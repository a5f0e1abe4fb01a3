"""Programs that have a Ray to themselves."""

import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtest.configs import haproxy_ports
from serve_app.console import say
from serve_app.ray_serve.launch import end_processes, environment

ROOT: Final = Path(__file__).parents[1]
# What is not as in a pod.
ONE_MACHINE: Final = {
    # By default Ray lets its workers yield to every other process; in a pod there is no other.
    "RAY_worker_niceness": "0",
    # A pod's output holds every line of Ray and every request's; a person wants the figures.
    "RAY_LOG_TO_STDERR": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


def run_program(
    module: str,
    *arguments: str,
    config: Path,
    variables: Mapping[str, str] | None = None,
    limit_s: float | None = None,
    output: int | None = None,
) -> int | None:
    """Run a module in a process that has a Ray to itself, and leave no process of it behind.

    Args:
        module: The module.
        arguments: Those of its command line; paths have to be absolute.
        config: The configuration whose Ray settings it has.
        variables: Further ones.
        limit_s: When it is ended.
        output: Where its output goes; see `subprocess.Popen`.

    Returns:
        Its exit status; None where it took too long.
    """
    run_id = uuid.uuid4().hex
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A folder of its own, because Ray's clusters of several nodes leave their address in it, and
    # because Ray puts the directory of its driver before all others, also before other code.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory:
        # Ray reads its settings when it is imported, so they belong to another process.
        program = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(config, run_id, Path(directory))
            # Another run may have the usual ports.
            | haproxy_ports()
            | {"PYTHONPATH": str(ROOT)}
            | dict(variables or {}),
            cwd=directory,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return program.wait(limit_s)
        except subprocess.TimeoutExpired:
            say(f"{module} took longer than {limit_s:.0f} s")
            return None
        finally:
            program.kill()
            program.wait()
            end_processes(run_id, program.pid)
