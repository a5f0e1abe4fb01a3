import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from loadtest.configs import configured
from loadtest.service import Service
from serve_app.ray_serve.config import read

pytestmark = [pytest.mark.serve, pytest.mark.slow]

WAIT_S = 90
CALLERS = 12
TEXTS = 32


class Callers:
    """Threads that ask for new texts without a pause, until told to stop."""

    def __init__(self, url: str) -> None:
        self.statuses: list[int] = []
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, caller: int) -> None:
        with httpx.Client(base_url=self._url, timeout=WAIT_S) as client:
            for number in iter(int, 1):
                if self._stop.is_set():
                    return
                texts = [f"text {number} {index} of {caller}" for index in range(TEXTS)]
                answer = client.post("/project/predict", json={"text": texts})
                self.statuses.append(answer.status_code)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


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
        callers = Callers(service.url)
        try:
            eventually(lambda: classifiers(service) == 2)
        finally:
            callers.stop()
        eventually(lambda: classifiers(service) == 1)
        assert set(callers.statuses) == {200}
        answer = httpx.post(f"{service.url}/project/predict", json={"text": ["a", "b", "a"]})
        first, second, again = answer.json()["predictions"]
        assert first == again != second
