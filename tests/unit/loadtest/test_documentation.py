import re
from pathlib import Path

import pytest

from loadtest.k6_process import NAMES, SCENARIOS

ROOT = Path(__file__).parents[3]
DOCUMENTED = (ROOT / "docs" / "loadtest.md").read_text()


def read_by_the_scenarios() -> set[tuple[str, str]]:
    """Every setting with its default."""
    scripts = "".join(path.read_text() for path in SCENARIOS.glob("**/*.js"))
    found = re.findall(r"\b(?:number|seconds|text)\('([A-Z_\d]+)', '?([^')]*)'?\)", scripts)
    return {*found, *(("MIX", name) for name in re.findall(r"chosen\('(\w+)'\)", scripts))}


def test_every_scenario_is_documented() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", DOCUMENTED, re.M)) == sorted(NAMES)


def defaults_of(scenario: str) -> set[str]:
    """The settings that a scenario reads beside those that all of them read, with defaults."""
    script = (SCENARIOS / f"{scenario}.js").read_text()
    found = dict(re.findall(r"\b(?:number|seconds)\('([A-Z_\d]+)', '?(\w[\w.]*)'?\)", script))
    settings = {f"{name}={default}" for name, default in found.items()}
    if mix := re.search(r"chosen\('(\w+)'\)", script):
        settings.add(f"MIX={mix[1]}")
    if "openModel()" in script:
        settings.add("VUS=200")
    if "steady(" in script:
        settings |= {"RATE=0", "VUS=10", "VUS=200"}
    return settings


@pytest.mark.parametrize("scenario", NAMES)
def test_a_scenario_has_its_settings_and_their_defaults_beside_it(scenario: str) -> None:
    [row] = re.findall(rf"^\| `{scenario}` \|.*$", DOCUMENTED, re.M)
    assert {each for each in defaults_of(scenario) if f"`{each}`" not in row} == set()


def test_every_documented_default_is_that_of_a_scenario() -> None:
    documented = set(re.findall(r"`([A-Z_\d]+)=(\w[\w.]*)`", DOCUMENTED)) - {("REDIS", "1")}
    assert documented
    assert documented <= read_by_the_scenarios()


def test_every_setting_is_documented() -> None:
    names = {name for name, _ in read_by_the_scenarios()}
    assert names >= {"URL", "TEXTS", "TRAFFIC"}
    assert {name for name in names if not re.search(rf"\b{name}\b", DOCUMENTED)} == set()
