import re

import pytest

from serve_app.settings import (
    AppArgs,
    ClassifierSettings,
    GatewaySettings,
    ScalingSettings,
    Settings,
)
from tests.documentation.markdown import ROOT

CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
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
