"""What an operator sees of real requests, and what nobody may see."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
import yaml

from loadtest.configs import DEV, PROD, configured
from loadtest.redis_server import RedisServer
from loadtest.service import Service
from monitoring.metrics_table import METRICS, exported_name
from serve_app.api_keys import hash_of, new_key
from serve_app.ray_serve.config import read

pytestmark = [pytest.mark.serve, pytest.mark.slow]

TEXT = "zanzibar quokka"
PASSWORD = "correct-horse"
API_KEY = new_key()
# Each of Ray's processes prints these once, when it starts.
RAYS_MARKS = re.compile(r":(job_id|actor_name|task_name):|=+ Running on |\(Press CTRL\+C")
REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    ("/project/predict", {"json": {"text": [TEXT, TEXT, "x"]}}, 200),
    ("/project/predict", {"json": {"text": [TEXT]}}, 200),
    ("/project", {"json": {"inputs": TEXT}}, 200),
    ("/project/predict", {"json": {"text": [f"{TEXT} " * 600]}}, 200),
    ("/project/predict", {"json": {"text": TEXT}}, 422),
    ("/project/predict", {"json": {TEXT: [TEXT]}}, 422),
    ("/project/predict", {"content": f'{{"text": ["{TEXT}'.encode()}, 422),
    ("/project/predict", {"json": {"text": [TEXT * 9999]}}, 422),
    ("/project/predict", {"content": TEXT.encode() * 200_000}, 413),
    (f"/project/{TEXT}?{TEXT}", {"json": {"text": [TEXT]}}, 404),
    ("/project/predict", {"json": {"text": [TEXT]}}, 401),
]
# Here nothing is abandoned, nothing fails, and no request is refused once its texts are counted.
NOT_SEEN = {
    "sentiment_abandoned_texts",
    "sentiment_cache_failures",
    "sentiment_failed_texts",
    "sentiment_refused_texts",
}
EXPECTED = {exported_name(metric) for metric in METRICS if metric.name not in NOT_SEEN}


class Seen(NamedTuple):
    """What is left of a run.

    Attributes:
        log: The lines of the requests, by id.
        other_lines: What production's standard output holds beside JSON.
        everything: All that was printed or logged by any process of the run.
        metrics: What Prometheus would have scraped.
        listening: Where Ray's agent, which exports the metrics, listens.
    """

    log: dict[str, dict[str, Any]]
    other_lines: list[str]
    everything: str
    metrics: str
    listening: set[str]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    directory = tmp_path_factory.mktemp("observability")
    logs_of_production = {k: v for k, v in read(PROD)["environment"].items() if "LOG" in k}
    environment = read(DEV)["environment"] | logs_of_production
    environment["RAY_metrics_report_interval_ms"] = "6000"
    args = {"cache": "env:SENTIMENT_CACHE_URL", "production": True}
    config = configured(directory, args, environment=environment)
    content = read(config)
    content["applications"][0]["deployments"][0]["user_config"] = {
        "deadline_s": 5,
        "api_keys": [hash_of(API_KEY.encode())],
    }
    config.write_text(yaml.safe_dump(content))
    output = directory / "stdout"
    with (
        RedisServer(password=PASSWORD) as redis,
        output.open("w") as stdout,
        Service(config, stdout, SENTIMENT_CACHE_URL=redis.url) as service,
    ):
        for index, (path, content, status) in enumerate(REQUESTS):
            key = f"{API_KEY} mistyped" if status == 401 else API_KEY
            headers = {"x-request-id": f"request-{index}", "authorization": f"Bearer {key}"}
            answer = httpx.post(service.url + path, headers=headers, **content)
            assert answer.status_code == status, path
        metrics = scraped(service)
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for process in service.processes("ray::DashboardAgent")
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        (raylet,) = service.processes("raylet")
        logs = Path(raylet.environ()["RAY_TMPDIR"], "ray", "session_latest", "logs").resolve()
        paths = [path for path in logs.rglob("*") if path.is_file()]
        files = "".join(path.read_text(errors="replace") for path in paths)
    printed = output.read_text() + "".join(service.printed)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    log = {line["request_id"]: line for line in lines if line.get("logger") == "serve_app.request"}
    other = [line for line in output.read_text().splitlines() if not line.startswith("{")]
    yield Seen(log, other, printed + files, metrics, listening)


def scraped(service: Service) -> str:
    give_up = time.monotonic() + 30
    while True:
        metrics = httpx.get(service.metrics_url, timeout=60).text
        done = all(f"{name}{{" in metrics or f"{name}_count{{" in metrics for name in EXPECTED)
        if done or time.monotonic() > give_up:
            return metrics
        time.sleep(0.5)


def test_every_request_for_predictions_is_one_line(seen: Seen) -> None:
    logged = {int(name.removeprefix("request-")): line for name, line in seen.log.items()}
    expected = {n: status for n, (_, _, status) in enumerate(REQUESTS) if status != 404}
    assert {n: line["status"] for n, line in logged.items()} == expected
    assert logged[1]["cache_hits"] == 1
    assert logged[0]["texts"] == 3
    assert logged[3]["truncated"] == 1
    assert logged[0]["inference_ms"] > 0
    assert logged[8]["outcome"] == "body-too-large"


def test_production_prints_nothing_but_json_and_the_marks_of_rays_processes(seen: Seen) -> None:
    assert [line for line in seen.other_lines if not RAYS_MARKS.match(line)] == []


def test_no_text_and_no_secret_is_logged_anywhere(seen: Seen) -> None:
    assert "request-0" in seen.everything
    assert "zanzibar" not in seen.everything
    assert PASSWORD not in seen.everything
    assert API_KEY not in seen.everything


def test_metrics_are_exported_on_this_machine_alone(seen: Seen) -> None:
    assert seen.listening == {"127.0.0.1"}


def test_every_metric_of_the_catalogue_is_exported_under_its_name(seen: Seen) -> None:
    exported = {line.split()[2] for line in seen.metrics.splitlines() if line.startswith("# TYPE")}
    assert EXPECTED - exported == set()
