import tomllib
from pathlib import Path
from typing import get_args

from serve_app.console import Extra, install

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_hints_name_extras_that_exist_and_a_command_that_a_checkout_can_run() -> None:
    assert set(get_args(Extra)) <= set(EXTRAS)
    assert install("torch").endswith("pip install -c constraints.txt -e '.[torch]'")
    assert (ROOT / "constraints.txt").exists()


def test_no_hint_asks_for_a_package_that_nobody_has_published() -> None:
    sources = [path for path in (ROOT / "serve_app").rglob("*.py") if path.name != "console.py"]
    sources += (ROOT / "loadtest").rglob("*.py")
    assert [path for path in sources if "pip install" in path.read_text()] == []
