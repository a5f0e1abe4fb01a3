"""The service on a Ray of this process, to be changed, harmed and looked at while it runs."""

import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import psutil
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve._private.api import serve_start
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from loadtest.ports import free_port
from loadtest.processes import ProcessUsage, family, usage
from loadtest.service import eventually
from serve_app.ray_serve.config import ServeConfig, read

GATEWAY: Final = "Gateway"
CLASSIFIER: Final = "Classifier"
# Logical CPUs, so that Ray places as many replicas as wanted on few real ones.
REPLICA_CPUS: Final = 0.1
WAIT_S: Final = 120.0

Content = dict[str, Any]


class Bounds(NamedTuple):
    """Fewest and most replicas of a deployment."""

    min: int
    max: int


class Replica(NamedTuple):
    """One replica as the controller knows it; process and node are unknown before it has any."""

    pid: int | None
    node: str | None
    state: str


class Fleet(NamedTuple):
    """A deployment's replicas.

    Attributes:
        target: How many the policy wants.
        replicas: All that exist, in whatever state.
    """

    target: int
    replicas: list[Replica]

    @property
    def running(self) -> list[Replica]:
        """Those that take work."""
        return [replica for replica in self.replicas if replica.state == "RUNNING"]


class RayService:
    """The first application of a configuration, on a free port.

    Args:
        config: The configuration file.
        args: The application's arguments, in place of the configured ones.
        gateway: What of the gateway's deployment is changed.
        classifier: What of the classifier's is changed.
        cpus: Logical CPUs of the Ray that is started; none where this process has one already.
    """

    def __init__(
        self,
        config: Path,
        args: Content,
        *,
        gateway: Mapping[str, Any],
        classifier: Mapping[str, Any],
        cpus: int = 0,
    ) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._content = read(config)
        self._content |= {
            "applications": self._content["applications"][:1],
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": self.port},
            "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        }
        self._content.pop("metrics_port", None)
        self.application["args"] = args
        for name, changes in ((GATEWAY, gateway), (CLASSIFIER, classifier)):
            deployment = self.deployment(name)
            deployment["ray_actor_options"]["num_cpus"] = REPLICA_CPUS
            deployment |= changes
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        if cpus:
            ray.init(
                num_cpus=cpus,
                include_dashboard=False,
                namespace="serve",
                logging_level=logging.WARNING,
                log_to_driver=False,
                _metrics_export_port=self.metrics_port,
            )
        self._client = serve_start(
            http_options=self._content["http_options"],
            proxy_location="HeadOnly",
            global_logging_config=self._content["logging_config"],
        )

    @property
    def base_url(self) -> str:
        """Where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where predictions are asked for."""
        return f"{self.base_url}/project/predict"

    @property
    def application(self) -> Content:
        """The application's section of the configuration, to be changed in place."""
        found: Content = self._content["applications"][0]
        return found

    def deployment(self, name: str) -> Content:
        """Return a deployment's section of the configuration, to be changed in place."""
        found: Content
        (found,) = (each for each in self.application["deployments"] if each["name"] == name)
        return found

    def scale(self, name: str, bounds: Bounds, **delays: float) -> None:
        """Change a deployment's bounds and delays, for the next deployment; restarts nothing."""
        scaling = self.deployment(name)["autoscaling_config"]
        scaling |= {"min_replicas": bounds.min, "max_replicas": bounds.max, **delays}

    def submit(self) -> None:
        """Deploy the configuration as it is, without waiting."""
        served = {key: value for key, value in self._content.items() if key != "environment"}
        self._client.deploy_apps(ServeDeploySchema.model_validate(served), _blocking=False)

    def deploy(self, **replicas: int) -> None:
        """Deploy the configuration as it is, and wait until it runs.

        Raises:
            TimeoutError: They do not.
        """
        ServeConfig.model_validate(self._content)
        self.submit()
        eventually(self._runs, "the service runs", WAIT_S)
        for name, count in replicas.items():
            settled = f"{count} replicas of {name} run, and no other"
            eventually(partial(self._settled, name, count), settled, WAIT_S)

    def fleet(self, name: str) -> Fleet:
        """Return a deployment's replicas."""
        details = self._client.get_serve_details()
        found = details["applications"]["sentiment"]["deployments"][name]
        replicas = [
            Replica(each.get("pid"), each.get("node_id"), each["state"])
            for each in found["replicas"]
        ]
        return Fleet(found["target_num_replicas"], replicas)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a deployment's replicas that take work."""
        return [replica.pid for replica in self.fleet(name).running if replica.pid]

    def processes(self) -> dict[int, ProcessUsage]:
        """Return what each process of this Ray uses, replicas, proxies and Ray's own."""
        found = usage(family([psutil.Process()]))
        found.pop(os.getpid(), None)
        return found

    def of_role(self, name: str) -> list[int]:
        """Return the processes of a role; see `loadtest.processes.ROLES`."""
        return [pid for pid, used in self.processes().items() if used.role == name]

    def haproxies(self) -> list[int]:
        """Return HAProxy's own processes, which leave the family of this one."""
        session = os.getsid(0)
        return [
            process.pid
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "haproxy" and os.getsid(process.pid) == session
        ]

    def ready(self) -> dict[str, str]:
        """Return what readiness says; empty without an answer."""
        try:
            answer: dict[str, str] = httpx.get(f"{self.base_url}/project/ready", timeout=5).json()
            return answer
        except (httpx.HTTPError, ValueError):
            return {}

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series that carry these labels."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text
        total = 0.0
        for line in text.splitlines():
            found = re.match(rf"ray_{name}(?:_total)?\{{(.*)\}} (\S+)", line)
            if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
                total += float(found[2])
        return total

    def _runs(self) -> bool:
        applications = serve.status().applications.values()
        return [each.status for each in applications] == [ApplicationStatus.RUNNING]

    def _settled(self, name: str, count: int) -> bool:
        fleet = self.fleet(name)
        return len(fleet.running) == len(fleet.replicas) == count


def seconds_until(true: Callable[[], bool], within_s: float = WAIT_S) -> float | None:
    """Return how many seconds something took to become true; None if it did not in time.

    A service that does not answer meanwhile has not made it true.
    """

    def answered() -> bool:
        with suppress(RayError, httpx.HTTPError):
            return true()
        return False

    try:
        return eventually(answered, "it is true", within_s)
    except TimeoutError:
        return None
