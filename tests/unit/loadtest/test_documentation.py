import re
from pathlib import Path

from loadtest.k6_process import NAMES, SCENARIOS

ROOT = Path(__file__).parents[3]
DOCUMENTED = (ROOT / "docs" / "loadtest.md").read_text()


def read_by_the_scenarios() -> set[tuple[str, str]]:
    """Every setting with its default."""
    scripts = "".join(path.read_text() for path in SCENARIOS.glob("**/*.js"))
    return set(re.findall(r"\b(?:number|seconds|text)\('([A-Z_\d]+)', '?([^')]*)'?\)", scripts))


def test_every_scenario_is_documented() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", DOCUMENTED, re.M)) == sorted(NAMES)


def test_every_documented_default_is_that_of_a_scenario() -> None:
    documented = set(re.findall(r"`([A-Z_\d]+)=(\w[\w.]*)`", DOCUMENTED)) - {("REDIS", "1")}
    assert documented
    assert documented <= read_by_the_scenarios()


def test_every_setting_is_documented() -> None:
    names = {name for name, _ in read_by_the_scenarios()}
    assert names >= {"URL", "TEXTS", "TRAFFIC"}
    assert {name for name in names if not re.search(rf"\b{name}\b", DOCUMENTED)} == set()
