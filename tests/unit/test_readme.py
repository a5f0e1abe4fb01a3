import re
from pathlib import Path

import pytest

from serve_app.settings import (
    AppArgs,
    ClassifierSettings,
    GatewaySettings,
    ScalingSettings,
    Settings,
)

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("kuberay/**/*.md")),
]
SCALING = (ROOT / "docs" / "scaling.md").read_text()


def documented(pattern: str, document: str = CONFIGURATION) -> dict[str, str]:
    return dict(re.findall(pattern, document, flags=re.MULTILINE))


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


def test_every_tunable_of_the_policy_is_documented_with_its_default() -> None:
    pattern = r"^\| `(\w+)` \| `([^`]+)` \| "
    assert documented(pattern, SCALING) == defaults(ScalingSettings)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_verb_that_is_named_is_one_of_the_makefile(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([\w-]+):.*##", makefile, flags=re.MULTILINE))
    used = re.findall(r"(?:^|`)make ([a-z][\w-]*)", document.read_text(), flags=re.MULTILINE)
    assert set(used) <= verbs
