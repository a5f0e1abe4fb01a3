"""The real k6."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Final

from loadtest import machine
from loadtest.results import SAMPLES, SUMMARY, Client
from serve_app.console import install
from serve_app.errors import StartupError

SCENARIOS: Final = Path(__file__).parent
NAMES: Final = tuple(sorted(path.stem for path in SCENARIOS.glob("*.js")))


def binary() -> str:
    """Return the path of k6: that of this Python environment, else the system's.

    Raises:
        StartupError: There is neither.
    """
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which("k6", path=os.pathsep.join(places))
    if found is None:
        raise StartupError("k6 is not installed", install("loadtest"))
    return found


def version(k6: str) -> str:
    """Return the version of a k6."""
    printed = subprocess.run([k6, "version"], capture_output=True, text=True, check=True).stdout
    known = re.search(r"v(\d\S*)", printed)
    return known[1] if known else printed.strip()


def check(scenario: str) -> None:
    """Make sure that a scenario can run.

    Raises:
        StartupError: There is no such scenario, or no k6.
    """
    if scenario not in NAMES:
        raise StartupError(f"there is no scenario {scenario!r}", f"one of {', '.join(NAMES)}")
    binary()


def start(scenario: str, url: str, directory: Path, serves: bool) -> subprocess.Popen[bytes]:
    """Start a scenario with the settings that the environment holds."""
    k6 = binary()
    client = Client(
        cpu=machine.cpu_name(),
        cores=machine.cores(),
        memory_gib=machine.memory_gib(),
        system=machine.system(),
        k6=version(k6),
        serves=serves,
    )
    environment = {
        **os.environ,
        "URL": url,
        "SUMMARY": str((directory / SUMMARY).absolute()),
        "CLIENT": client.model_dump_json(),
    }
    if traffic := os.environ.get("TRAFFIC"):
        # k6 takes a relative path as one from its script.
        environment["TRAFFIC"] = str(Path(traffic).absolute())
    return subprocess.Popen(
        [
            k6,
            "run",
            "--no-usage-report",
            # Its control API would take a fixed port.
            "--address=",
            f"--out=csv={directory / SAMPLES}",
            str(SCENARIOS / f"{scenario}.js"),
        ],
        env=environment,
    )
