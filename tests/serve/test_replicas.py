import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from ray import serve
from ray.serve._private.api import serve_start
from ray.serve._private.common import DeploymentID
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from loadtest.configs import configured
from serve_app.autoscaling import CPU, HELD, PER_CHAR, RATE, WAITING, WANTED
from serve_app.ray_serve.config import read

pytestmark = [pytest.mark.serve, pytest.mark.slow]

WAIT_S = 90


class Deployed:
    """The application on a Ray of this process, so that it can be deployed again."""

    def __init__(self, config: Path) -> None:
        self.content = read(config)
        ray.init(include_dashboard=False, namespace="serve", logging_level=logging.ERROR)
        http = self.content["http_options"]
        self._client = serve_start(http_options=http, proxy_location="HeadOnly")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{http['port']}", timeout=WAIT_S)

    def deploy(self) -> None:
        config = ServeDeploySchema.model_validate(self.content)
        self._client.deploy_apps(config, _blocking=False)
        eventually(self._running)

    def _running(self) -> bool:
        applications = serve.status().applications.values()
        return [app.status for app in applications] == [ApplicationStatus.RUNNING]

    def tune(self, deployment: int, **user_config: Any) -> None:
        self.content["applications"][0]["deployments"][deployment]["user_config"] = user_config
        self.deploy()

    def replicas(self, deployment: str) -> list[int]:
        details = self._client.get_serve_details()
        replicas = details["applications"]["sentiment"]["deployments"][deployment]["replicas"]
        return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]

    def reported(self, deployment: str) -> set[str]:
        """Return the names of what replicas have reported to the policy."""
        identity = DeploymentID(name=deployment, app_name="sentiment")
        controller: Any = self._client._controller
        return set(ray.get(controller._get_metrics_for_deployment_for_testing.remote(identity)))

    def predict(self, *texts: str) -> httpx.Response:
        return self.http.post("/project/predict", json={"text": texts})

    def close(self) -> None:
        self.http.close()
        serve.shutdown()
        ray.shutdown()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    application = Deployed(configured(tmp_path_factory.mktemp("replicas"), {}))
    try:
        application.deploy()
        yield application
    finally:
        application.close()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_tunables_change_without_a_restart(deployed: Deployed) -> None:
    assert deployed.predict("a", "b", "c").status_code == 200
    before = (deployed.replicas("Gateway"), deployed.replicas("Classifier"))
    deployed.tune(0, max_texts=2)
    deployed.tune(1, max_batch_tokens=64, max_batch_requests=2)
    eventually(lambda: deployed.predict("a", "b", "c").status_code == 422)
    assert deployed.http.get("/project/info").json()["limits"]["max_texts"] == 2
    assert deployed.predict("a", "d").status_code == 200
    assert (deployed.replicas("Gateway"), deployed.replicas("Classifier")) == before
    deployed.tune(0)
    eventually(lambda: deployed.predict("a", "b", "c").status_code == 200)


@pytest.mark.parametrize(
    ("deployment", "published"),
    [("Gateway", {CPU, WANTED, HELD}), ("Classifier", {WAITING, RATE, PER_CHAR})],
)
def test_the_policy_learns_of_the_work(
    deployed: Deployed, deployment: str, published: set[str]
) -> None:
    for number in range(8):
        assert deployed.predict(f"some work {number}").status_code == 200
    eventually(lambda: published <= deployed.reported(deployment))


def test_a_killed_classifier_is_replaced_and_its_requests_are_answered(deployed: Deployed) -> None:
    assert deployed.predict("before").status_code == 200
    (pid,) = deployed.replicas("Classifier")
    os.kill(pid, signal.SIGKILL)
    answers = [deployed.predict(f"after {n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    eventually(lambda: deployed.replicas("Classifier") not in ([], [pid]))


def test_an_engine_that_does_not_return_has_its_replica_replaced(deployed: Deployed) -> None:
    """A pass over a long text takes five times what a pass may take."""
    application = deployed.content["applications"][0]
    application["args"] |= {"engine": "simulated", "simulated": {"batch_ms": 0, "token_us": 20_000}}
    classifier = application["deployments"][1]
    classifier |= {"health_check_period_s": 1, "user_config": {"hang_timeout_s": 2}}
    deployed.deploy()
    eventually(lambda: deployed.http.get("/project/info").json()["engine"] == "simulated")
    eventually(lambda: len(deployed.replicas("Classifier")) == 1)
    (pid,) = deployed.replicas("Classifier")
    answer = deployed.http.post(
        "/project/predict", json={"text": ["good " * 600]}, headers={"X-Deadline-Ms": "7000"}
    )
    assert answer.status_code == 504
    eventually(lambda: deployed.replicas("Classifier") not in ([], [pid]))
    assert deployed.predict("after").status_code == 200
