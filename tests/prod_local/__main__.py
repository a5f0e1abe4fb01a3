"""The production topology on one machine: `make prod-local`.

Starts a head and two workers as they run on Kubernetes, each in a pod's namespaces, deploys the
production configuration, and checks under load what is promised of it. Exits non-zero when a
promise is broken.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

from kuberay.generate import CONFIG
from loadtest.answers import revisions, short_texts
from serve_app.console import fail, say
from serve_app.errors import StartupError
from serve_app.ray_serve.config import load
from tests.prod_local.pods import enter_namespaces, make_network
from tests.prod_local.ray_cluster import Plan, redis
from tests.prod_local.report import Report
from tests.prod_local.scenario import WORKERS, Scenario

TEXTS: Final = 400
LOG_LINES: Final = 15


def main() -> int:
    """Run the scenario and return the exit status."""
    try:
        enter_namespaces()
    except StartupError as error:
        fail(error)
    make_network()
    with (
        tempfile.TemporaryDirectory(prefix="prod-local-") as directory,
        redis() as control,
        redis("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as cache,
    ):
        files = Path(directory)
        say("preparing two revisions of the model (the first time, each takes half a minute)")
        first, second = revisions(files, short_texts(TEXTS))
        report = Report()
        plan = Plan(load(CONFIG), WORKERS, control, cache, files)
        try:
            Scenario(plan, first, second, report).run()
        except (TimeoutError, RuntimeError, httpx.HTTPError, subprocess.SubprocessError) as error:
            report.promise(False, "the scenario runs to its end", error)
            show_logs(files)
        return report.end()


def show_logs(files: Path) -> None:
    """Print the end of what each pod has printed."""
    for log in sorted(files.glob("*.log")):
        say(f"{log.name}:")
        for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
            say(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
