import ast
import re
from pathlib import Path

import pytest

from tests.chaos.cases import CASES, LONG

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "faults.md", ROOT / "SECURITY.md"]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for page in PAGES
    for line in page.read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| Fault |", "| Attack |"))
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])})


def test_every_case_of_chaos_shows_something() -> None:
    places = {case.place for name, case in CASES.items() if name not in LONG}
    written = {place.replace(".", "/").replace(":", ".py::") for place in places}
    assert written <= set(NAMED)


def test_every_row_names_what_shows_it() -> None:
    for row in ROWS:
        assert len(row) == 3
        assert re.search(r"`[^`]+`", row[2]), row


@pytest.mark.parametrize("name", NAMED)
def test_what_a_row_names_exists(name: str) -> None:
    if name.startswith("make "):
        verbs = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert name.split()[1] in verbs
        return
    path, _, test = name.partition("::")
    module = ast.parse((ROOT / path).read_text())
    defined = {
        node.name
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not test or test in defined
