"""Every PromQL expression of the rules and the dashboards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

HERE: Final = Path(__file__).parent
RULES: Final = HERE / "rules.yaml"
DASHBOARDS: Final = (
    HERE / "dashboards" / "overview.json",
    HERE / "dashboards" / "deep-dive.json",
)
# What Grafana would put in their places.
_VARIABLES: Final = {"$__rate_interval": "1m", "$application": "sentiment"}


class Expression(NamedTuple):
    """One expression.

    Attributes:
        place: File and panel or rule that it belongs to.
        legend: How its series are named, in Grafana's form.
        text: PromQL, Grafana's variables replaced.
        is_alert: Whether it is an alert's, which has no series as long as all is well.
    """

    place: str
    legend: str
    text: str
    is_alert: bool = False


def of_rules() -> Iterator[Expression]:
    """Return the expressions of the rules."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            name = rule.get("record") or rule["alert"]
            yield Expression(f"{RULES.name}: {name}", name, rule["expr"], "alert" in rule)


def of_dashboard(path: Path) -> Iterator[Expression]:
    """Return the expressions of a dashboard's panels."""
    for panel in panels(path):
        for target in panel["targets"]:
            place = f"{path.name}: {panel['title']}"
            yield Expression(place, target.get("legendFormat", ""), resolved(target["expr"]))


def panels(path: Path) -> list[dict[str, Any]]:
    """Return a dashboard's panels, without the rows that group them."""
    dashboard = json.loads(path.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def resolved(expression: str) -> str:
    """Return an expression with Grafana's variables replaced."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression
