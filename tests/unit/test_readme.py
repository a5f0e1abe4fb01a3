import re
from pathlib import Path

import pytest

from serve_app.settings import AppArgs, ClassifierSettings, GatewaySettings, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def documented(pattern: str) -> dict[str, str]:
    return dict(re.findall(pattern, README, flags=re.MULTILINE))


def defaults(settings: type[Settings]) -> dict[str, str]:
    return {name: str(field.default) for name, field in settings.model_fields.items()}


@pytest.mark.parametrize(
    ("deployment", "settings"),
    [("Gateway", GatewaySettings), ("Classifier", ClassifierSettings)],
)
def test_every_tunable_is_documented_with_its_default(
    deployment: str, settings: type[Settings]
) -> None:
    assert documented(rf"^\| {deployment} \| `(\w+)` \| `([^`]+)` \|") == defaults(settings)


def test_every_argument_is_documented_with_its_default() -> None:
    assert documented(r"^\| `(\w+)` \| `([^`]+)` \| ") == defaults(AppArgs)


@pytest.mark.parametrize(
    "document",
    [*sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("kuberay/**/*.md")), ROOT / "README.md"],
)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_verb_of_the_readme_is_one_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"\bmake ([\w-]+)", README))
    assert verbs <= set(re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE))
    assert {"serve", "test"} <= verbs
