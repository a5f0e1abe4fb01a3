import json
from itertools import count, islice
from pathlib import Path

import httpx
import pytest
import yaml

from loadtest.configs import configured
from loadtest.connections import Request
from loadtest.generator import Load, Stream
from loadtest.service import Service, eventually
from serve_app.ray_serve.config import read

pytestmark = [pytest.mark.serve, pytest.mark.slow]

WAIT_S = 90
CALLERS = 12
TEXTS = 32


def callers(url: str) -> Load:
    """Return clients that ask for new texts without a pause."""
    texts = (f"text {number}" for number in count())
    asked = (list(islice(texts, TEXTS)) for _ in count())
    requests = (Request(json.dumps({"text": each}).encode(), each) for each in asked)
    stream = Stream("", connections=CALLERS)
    return Load([f"{url}/project/predict"], lambda *_: "", [(stream, requests)])


def classifiers(service: Service) -> int:
    return sum("Classifier" in " ".join(each.cmdline()) for each in service.processes("ray::"))


def scaling(directory: Path) -> Path:
    """Write a configuration whose classifiers take a fifth of a second for a small batch."""
    cost = {"batch_ms": 200, "token_us": 100}
    path = configured(directory, {"engine": "simulated", "simulated": cost})
    content = read(path)
    classifier = content["applications"][0]["deployments"][1]
    classifier["ray_actor_options"]["num_cpus"] = 0.2
    classifier["user_config"] = {"max_batch_tokens": 128}
    classifier["autoscaling_config"] |= {"upscale_delay_s": 0, "downscale_delay_s": 2}
    path.write_text(yaml.safe_dump(content))
    return path


def test_replicas_follow_the_work_and_no_request_is_lost_on_the_way(tmp_path: Path) -> None:
    with Service(scaling(tmp_path)) as service:
        assert classifiers(service) == 1
        with callers(service.url) as load:
            eventually(lambda: classifiers(service) == 2, "two classifiers", WAIT_S)
        eventually(lambda: classifiers(service) == 1, "one classifier", WAIT_S)
        assert {record.status for record in load.records} == {200}
        answer = httpx.post(f"{service.url}/project/predict", json={"text": ["a", "b", "a"]})
        first, second, again = answer.json()["predictions"]
        assert first == again != second
