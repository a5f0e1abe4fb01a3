"""Rules and dashboards against the catalogue; `make monitoring-test` evaluates them for real."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.expressions import DASHBOARDS, HERE, RULES, Expression, of_dashboard, of_rules
from monitoring.metrics_table import METRICS, exported_name
from monitoring.prometheus import binary
from serve_app.errors import StartupError
from serve_app.ray_serve.config import load
from serve_app.telemetry.metrics import REQUEST_SECONDS

ROOT = Path(__file__).parents[3]
EXPRESSIONS = [*of_rules(), *(found for path in DASHBOARDS for found in of_dashboard(path))]
OURS = re.compile(r"\bray_sentiment_\w+")
RECORDED = re.compile(r"\bsentiment:\w+:\w+")
RULE_TESTS = [HERE / "rules_test.yaml", HERE / "rules_days_test.yaml"]
LABELS_OF_SERVE = {"application", "deployment", "replica", "le"}


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return binary("promtool")
    except StartupError as error:
        pytest.skip(str(error))


def exported() -> dict[str, set[str]]:
    """Return the labels of every exported name."""
    names = {}
    for metric in METRICS:
        labels = LABELS_OF_SERVE | set(metric.labels)
        suffixes = ("_bucket", "_count") if metric.kind == "histogram" else ("",)
        names.update({exported_name(metric) + suffix: labels for suffix in suffixes})
    return names


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda found: found.place)
def test_expressions_ask_for_metrics_and_labels_that_exist(expression: Expression) -> None:
    names = exported()
    assert set(OURS.findall(expression.text)) <= set(names)
    for name, selector in re.findall(r"\b(ray_sentiment_\w+)\{([^}]*)\}", expression.text):
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", selector)) <= names[name]


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    recorded = {rule.legend for rule in of_rules() if not rule.is_alert}
    asked = {name for found in EXPRESSIONS for name in RECORDED.findall(found.text)}
    assert asked <= recorded


def test_every_metric_of_the_catalogue_is_shown() -> None:
    shown = {name for found in EXPRESSIONS for name in OURS.findall(found.text)}
    bases = {re.sub(r"_(bucket|count)$", "", name) for name in shown}
    assert {exported_name(metric) for metric in METRICS} <= bases


def test_the_objective_is_a_bound_of_the_buckets() -> None:
    bounds = {float(bound) for bound in re.findall(r'le="([\d.]+)"', RULES.read_text())}
    assert bounds <= set(REQUEST_SECONDS.buckets)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_titles_descriptions_and_places_of_their_own(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["fieldConfig"]["defaults"]["noValue"]
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in {"page", "ticket"}
                assert rule["annotations"]["summary"]
                assert rule["annotations"]["description"]


def test_every_alert_has_a_unit_test() -> None:
    tests = [test for path in RULE_TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    tested = {case["alertname"] for test in tests for case in test.get("alert_rule_test", [])}
    assert {rule.legend for rule in of_rules() if rule.is_alert} == tested


def test_prometheus_scrapes_the_port_of_the_development_configuration() -> None:
    content = yaml.safe_load((HERE / "prometheus.yaml").read_text())
    (target,) = content["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"127.0.0.1:{load(ROOT / 'configs' / 'dev.yaml').metrics_port}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yaml"),
        ("check", "rules", "rules.yaml"),
        *(("test", "rules", path.name) for path in RULE_TESTS),
    ],
    ids=" ".join,
)
def test_promtool_accepts(promtool: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
