"""Whether this machine can run a check: `python -m tests.requirements VERB`, for CI.

Prints in one line what it lacks, and exits with 1; or prints nothing.
"""

import sys
from collections.abc import Callable
from typing import Final

from monitoring.prometheus import binary
from serve_app.errors import StartupError
from tests.image import machine
from tests.prod_local import pods

CHECKS: Final[dict[str, tuple[Callable[[], object], ...]]] = {
    "monitoring-test": (lambda: binary("prometheus"), lambda: binary("promtool")),
    "prod-local": (pods.check_machine,),
    "image-test": (lambda: machine.check_machine(machine.default_cache()),),
}


def lacking(verb: str) -> str:
    """Return what this machine lacks for a verb of the Makefile; empty where it can run it."""
    try:
        for check in CHECKS[verb]:
            check()
    except StartupError as error:
        return " ".join(error.problem.split())
    return ""


if __name__ == "__main__":
    if found := lacking(sys.argv[1]):
        sys.exit(found)
