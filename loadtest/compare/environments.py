"""An environment of its own for each peer, made once."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from loadtest.bench.model import cache_root
from serve_app.console import say

REQUIREMENTS: Final = Path(__file__).parent / "requirements"


def python_of(requirements: str, *, standalone: bool) -> Path:
    """Return the interpreter of an environment with the packages of a requirements file.

    The peers compute with the same versions of torch, transformers and ONNX Runtime as this
    project: their environments see its packages behind their own. A peer that does not run with
    those versions stands alone.

    Args:
        requirements: Name of the file, without its suffix.
        standalone: See nothing of this project's packages.

    Raises:
        RuntimeError: A package could not be installed.
    """
    file = REQUIREMENTS / f"{requirements}.txt"
    digest = hashlib.blake2b(file.read_bytes(), digest_size=4).hexdigest()
    directory = cache_root() / "environments" / f"{requirements}-{digest}"
    python = directory / "bin" / "python"
    done = directory / "installed"
    if done.exists():
        return python
    say(f"installing {requirements}, once")
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    if not standalone:
        packages = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        (Path(packages) / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installing = subprocess.run(
        [*command, "--requirement", str(file)], capture_output=True, text=True, check=False
    )
    if installing.returncode:
        raise RuntimeError(f"cannot install {file.name}: {installing.stderr.strip()}")
    done.touch()
    return python


def version_of(package: str, python: Path) -> str:
    """Return the version of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return found.stdout.strip()
