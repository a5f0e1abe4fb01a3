"""`make monitoring-test`: every expression and one alert, in a real Prometheus on real load."""

import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import yaml

from loadtest.configs import DEV, configured
from loadtest.ports import free_port
from loadtest.redis_server import RedisServer
from loadtest.service import Service
from monitoring.expressions import DASHBOARDS, HERE, Expression, of_dashboard, of_rules
from monitoring.picture import draw
from monitoring.prometheus import Prometheus
from serve_app.ray_serve.config import read
from tests.monitoring.load import load_on

pytestmark = [pytest.mark.monitoring, pytest.mark.timeout(400)]

LOAD_S = float(os.environ.get("LOAD_S", "45"))
ALERT_TIMEOUT_S = 60.0
# Ray keeps a gauge for two of these, and sets that of a replica's health every 10 s.
REPORT_MS = "6000"
PATIENCE_S = 20.0
PICTURE = Path(__file__).parents[2] / "runs" / "overview.png"

# Expressions that have no series here, and why.
NEEDS_A_CLUSTER = {
    "deep-dive.json: Answers of HAProxy": "HAProxy is the proxy in production alone",
    "deep-dive.json: Latency at HAProxy": "HAProxy is the proxy in production alone",
    "rules.yaml: SentimentNodeMemory": "only a cluster has a worker node",
}
NEEDS_A_FAULT = {
    "deep-dive.json: Texts that failed": "the model fails on no text of this load",
    "rules.yaml: SentimentIngressErrors": "no request of this load ends with a server error",
}
EXPRESSIONS = [*of_rules(), *(found for path in DASHBOARDS for found in of_dashboard(path))]
SELECTOR = re.compile(r"(?:\bray_\w+|\bsentiment:\w+:\w+)(?:\{[^}]*\})?")


class Run(NamedTuple):
    """A service under observation."""

    service: Service
    redis: RedisServer
    prometheus: Prometheus


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("monitoring")
    with (
        RedisServer() as redis,
        (directory / "stdout").open("w") as stdout,
        Service(service_config(directory, redis), stdout) as service,
    ):
        config = prometheus_config(directory, service)
        with Prometheus(config, directory / "data", free_port()) as prometheus:
            outage(service, redis)
            with driven(service):
                time.sleep(LOAD_S)
                yield Run(service, redis, prometheus)


def outage(service: Service, redis: RedisServer) -> None:
    """Let calls to Redis fail, so that they have been counted."""
    redis.kill()
    predict(service)
    redis.start()


def predict(service: Service) -> None:
    texts = {"text": [str(time.time())]}
    answer = httpx.post(f"{service.url}/project/predict", json=texts, timeout=60)
    assert answer.status_code == 200


@contextmanager
def driven(service: Service) -> Iterator[None]:
    """Drive load beside the block."""
    with load_on(service.url) as load:
        yield
    statuses = Counter(record.status for record in load.records)
    print("answers by status:", dict(sorted(statuses.items())))


def service_config(directory: Path, redis: RedisServer) -> Path:
    """Write a configuration whose replicas report often and whose queue is soon full."""
    environment = read(DEV)["environment"] | {"RAY_metrics_report_interval_ms": REPORT_MS}
    path = configured(directory, {"cache": redis.url}, environment=environment)
    content = read(path)
    content["applications"][0]["deployments"][0]["user_config"] = {
        "max_pending_texts": 256,
        "cache_timeout_s": 0.2,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def prometheus_config(directory: Path, service: Service) -> Path:
    """Write the configuration of `make monitoring` with shorter times and this run's target."""
    content = yaml.safe_load((HERE / "prometheus.yaml").read_text())
    content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    target = httpx.URL(service.metrics_url).netloc.decode()
    content["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    rules = yaml.safe_load((HERE / "rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == "SentimentCacheDown":
                rule["for"] = "5s"
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    path = directory / "prometheus.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def has_value(prometheus: Prometheus, expression: str) -> bool:
    series = prometheus.query(expression)
    return any(not math.isnan(float(found["value"][1])) for found in series)


def has_data(prometheus: Prometheus, expression: Expression) -> bool:
    """Tell whether an expression has data, or, for an alert that does not fire, its parts have."""
    whole = has_value(prometheus, expression.text)
    return whole or (expression.is_alert and parts_have_values(prometheus, expression.text))


def parts_have_values(prometheus: Prometheus, expression: str) -> bool:
    return all(has_value(prometheus, part) for part in SELECTOR.findall(expression))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda found: found.place)
def test_every_expression_has_data(run: Run, expression: Expression) -> None:
    reason = (NEEDS_A_CLUSTER | NEEDS_A_FAULT).get(expression.place)
    if reason:
        assert not has_data(run.prometheus, expression), f"no longer so: {reason}"
        return
    give_up = time.monotonic() + PATIENCE_S
    while not has_data(run.prometheus, expression):
        assert time.monotonic() < give_up, f"no data for {expression.text}"
        time.sleep(1)


def test_the_overview_can_be_drawn(run: Run) -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    draw(run.prometheus, LOAD_S * 3 / 4, PICTURE)
    assert PICTURE.read_bytes().startswith(b"\x89PNG")


def test_an_alert_fires_when_redis_goes_away_and_ends_when_it_is_back(run: Run) -> None:
    assert state(run) is None
    run.redis.kill()
    seen = [until(run, "pending"), until(run, "firing")]
    run.redis.start()
    seen.append(until(run, None))
    print("SentimentCacheDown:", *seen, sep="\n  ")


def state(run: Run) -> str | None:
    return run.prometheus.alert_states().get("SentimentCacheDown")


def until(run: Run, wanted: str | None) -> str:
    """Send requests until the alert has a state, and return when that was."""
    started = time.monotonic()
    while state(run) != wanted:
        assert time.monotonic() - started < ALERT_TIMEOUT_S, f"still {state(run)}"
        predict(run.service)
        time.sleep(0.1)
    return f"{wanted or 'resolved'} after {time.monotonic() - started:.1f} s"
