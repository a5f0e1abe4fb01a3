"""Whether production's gateways answer from memory without Ray Serve, which Ray might undo."""

import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from loadtest.configs import configured, haproxy_environment
from loadtest.service import Service
from tests.serve.test_hostile_input import FINE
from tests.serve.wire import ask, post

pytestmark = pytest.mark.serve

REPORTING = {
    "RAY_metrics_report_interval_ms": "1000",
    # As in production.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
}
CACHED = 40


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return haproxy_environment() | REPORTING


@pytest.fixture(scope="module")
def service(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("fast-lane")
    with Service(
        configured(directory, {"engine": "simulated"}, environment=environment)
    ) as started:
        yield started


def counted(service: Service, name: str) -> float:
    metrics = httpx.get(service.metrics_url, timeout=30).text
    lines = re.findall(rf'(?m)^{name}{{.*deployment="Gateway".*}} (\S+)$', metrics)
    return sum(map(float, lines))


def test_serve_sees_nothing_of_requests_that_memory_answers(service: Service) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        answers = [client.post("/project/predict", content=FINE) for _ in range(1 + CACHED)]
    hits = [answer.headers["x-cache-hits"] for answer in answers]
    assert hits == ["0", *["1"] * CACHED]
    give_up = time.monotonic() + 60
    while counted(service, "ray_sentiment_requests_total") < len(answers):
        assert time.monotonic() < give_up
        time.sleep(0.5)
    assert 1 <= counted(service, "ray_serve_deployment_request_counter_total") < CACHED


def test_haproxy_itself_exports_what_the_rules_and_dashboards_ask_for(
    service: Service, environment: dict[str, str]
) -> None:
    assert httpx.post(service.url + "/project/predict", content=FINE).is_success
    port = environment["RAY_SERVE_HAPROXY_METRICS_PORT"]
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    answered = 'haproxy_frontend_http_responses_total{proxy="http_frontend",code="%s"}'
    assert re.search(rf"(?m)^{re.escape(answered % '2xx')} [1-9]", metrics)
    assert answered % "5xx" in metrics
    assert re.search(r"(?m)^haproxy_backend_total_time_average_seconds{.*sentiment", metrics)


@pytest.mark.parametrize("text", ["I love this!", "an id beside a new text"])
def test_an_id_that_is_no_text_fails_nobody(service: Service, text: str) -> None:
    reply = ask(service.url, post(json.dumps({"text": [text]}).encode(), "X-Request-ID: \xff"))
    assert reply.status == 200
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-request-id"])
