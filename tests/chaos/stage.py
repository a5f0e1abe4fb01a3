"""A service for a case, on a Ray of this process."""

import logging
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import ray
from ray.exceptions import RayError
from ray.serve._private.api import serve_start
from ray.serve.schema import ServeDeploySchema

from loadtest.ports import free_port
from loadtest.processes import family, role
from loadtest.scale.lab import CLASSIFIER, GATEWAY, Bounds, Lab
from serve_app.ray_serve.config import read

CONFIGS: Final = Path(__file__).parents[2] / "configs"
DEV: Final = CONFIGS / "dev.yaml"
PROD: Final = CONFIGS / "prod.yaml"
LOGICAL_CPUS: Final = 8
WAIT_S: Final = 120.0

Content = dict[str, Any]


class Stage(Lab):
    """A service that a case deploys, harms and looks at.

    Args:
        config: The configuration file that is changed.
        args: The application's arguments that are changed.
        gateway: The gateway's tunables.
        classifier: The classifier's.
        replicas: How many of each run; their numbers are fixed.
        cluster: Whether this process is connected to a Ray cluster already.
    """

    def __init__(
        self,
        config: Path,
        args: Content,
        *,
        gateway: Content | None = None,
        classifier: Content | None = None,
        replicas: tuple[int, int] = (1, 2),
        cluster: bool = False,
    ) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._content = _content(config, self.port, args)
        for name, tunables, count in zip(
            (GATEWAY, CLASSIFIER), (gateway, classifier), replicas, strict=True
        ):
            deployment = self.deployment(name)
            deployment["user_config"] = tunables or {}
            deployment["ray_actor_options"]["num_cpus"] = 0.1
            self.scale(name, Bounds(count, count), deploy=False)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        if not cluster:
            ray.init(
                num_cpus=LOGICAL_CPUS,
                include_dashboard=False,
                namespace="serve",
                logging_level=logging.WARNING,
                log_to_driver=False,
                _metrics_export_port=self.metrics_port,
            )
        self._client = serve_start(
            http_options=self._content["http_options"],
            proxy_location=self._content["proxy_location"],
            global_logging_config=self._content["logging_config"],
        )
        self.deploy()
        for name, count in zip((GATEWAY, CLASSIFIER), replicas, strict=True):
            self.until_running(name, count)

    @property
    def application(self) -> Content:
        """The application's part of the configuration, to be changed in place."""
        found: Content = self._content["applications"][0]
        return found

    @property
    def base_url(self) -> str:
        """Where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    def pids(self, name: str) -> list[int]:
        """Return the processes of a deployment's replicas that take work."""
        return [replica.pid for replica in self.fleet(name).running if replica.pid]

    def processes(self) -> dict[int, str]:
        """Return the role of each process of this Ray, replicas, proxies and Ray's own."""
        found: dict[int, str] = {}
        for process in family([psutil.Process()]):
            try:
                found[process.pid] = role(process.cmdline())
            except psutil.Error:
                continue
        found.pop(os.getpid(), None)
        return found

    def named(self, name: str) -> list[int]:
        """Return the processes of this Ray that have a name; HAProxy's leave its family."""
        session = os.getsid(0)
        found = []
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == name and os.getsid(process.pid) == session:
                found.append(process.pid)
        return found

    def submit(self) -> None:
        """Deploy the configuration as it is, without waiting."""
        served = {key: value for key, value in self._content.items() if key != "environment"}
        self._client.deploy_apps(ServeDeploySchema.model_validate(served), _blocking=False)

    def of_role(self, name: str) -> list[int]:
        """Return the processes of a role; see `loadtest.processes.ROLES`."""
        return [pid for pid, played in self.processes().items() if played == name]

    def ready(self) -> dict[str, str]:
        """Return what readiness tells; empty without an answer."""
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

    def await_that(self, true: Callable[[], bool], within_s: float = WAIT_S) -> float | None:
        """Wait, and return how many seconds it took; None if it did not come true in time.

        Whoever does not answer meanwhile, has not made it true.
        """
        begun = time.monotonic()
        while time.monotonic() - begun < within_s:
            with suppress(RayError, httpx.HTTPError):
                if true():
                    return time.monotonic() - begun
            time.sleep(0.2)
        return None


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process."""
    os.kill(pid, number)


def _content(config: Path, port: int, args: Content) -> Content:
    content = read(config)
    content |= {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": port},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "applications": content["applications"][:1],
    }
    content.pop("metrics_port", None)
    content["applications"][0]["args"] = args
    return content
