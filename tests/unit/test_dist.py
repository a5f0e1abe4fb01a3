import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "serve_app", "training", "loadtest")


def run(*command: str | Path) -> str:
    # `make test-all` sets PYTHONPATH, where pip would find the package installed.
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=alone).stdout


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_as_a_client(tmp_path: Path) -> None:
    source, dist, environment = (tmp_path / name for name in ("source", "dist", "environment"))
    source.mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", dist, source)
    (wheel,) = dist.iterdir()
    run(sys.executable, "-m", "venv", environment)
    constraints = ROOT / "constraints.txt"
    run(environment / "bin" / "pip", "install", "--constraint", constraints, wheel)
    assert "predict" in run(environment / "bin" / "sentiment", "--help")
    assert "--resume" in run(environment / "bin" / "sentiment", "predict", "--help")
    run(environment / "bin" / "python", "-c", "import serve_app.client")
    installed = {path.name for path in environment.glob("lib/*/site-packages/*")}
    assert not installed & {"ray", "torch", "numpy", "onnxruntime", "starlette", "redis"}
