"""A Ray Serve of this process, with the service on the simulated engine."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from ray import serve
from ray.serve._private.api import serve_start
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from loadtest.ports import free_port
from serve_app.ray_serve.config import ServeConfig, read
from serve_app.settings import SimulatedCost

PROD: Final = Path(__file__).parents[2] / "configs" / "prod.yaml"
GATEWAY: Final = "Gateway"
CLASSIFIER: Final = "Classifier"
# Logical CPUs, so that Ray places as many replicas as wanted on few real ones.
GATEWAY_CPUS: Final = 0.1
CLASSIFIER_CPUS: Final = 0.02
TOKENS: Final = 24
BATCH_TEXTS: Final = 10
CHUNK_TEXTS: Final = 5
# A full batch that is computed and the next one, twice: the router spreads calls by chance.
CALLS_PER_REPLICA: Final = 4 * BATCH_TEXTS // CHUNK_TEXTS
# A step to ten times the load leaves this many texts waiting while replicas start; the test is
# to see them answered, not refused.
PENDING_TEXTS: Final = 16_384
WAIT_S: Final = 120.0
POLL_S: Final = 0.1


class Bounds(NamedTuple):
    """Fewest and most replicas of a deployment."""

    least: int
    most: int


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


class Lab:
    """The production configuration, changed only in what the simulated engine needs.

    Args:
        cost: What a pass through the engine costs.
        gateways: Gateway replicas; their number is fixed.
        proxy_location: Which nodes take HTTP.
    """

    def __init__(
        self, cost: SimulatedCost, gateways: int, proxy_location: str = "HeadOnly"
    ) -> None:
        self.port = free_port()
        self._content = _content(cost, gateways, self.port, proxy_location)
        self.scale(GATEWAY, Bounds(gateways, gateways), deploy=False)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        self._client = serve_start(
            http_options=self._content["http_options"],
            proxy_location=proxy_location,
            global_logging_config=self._content["logging_config"],
        )

    @property
    def url(self) -> str:
        """Where predictions are asked for."""
        return f"http://127.0.0.1:{self.port}/project/predict"

    @property
    def policy(self) -> dict[str, Any]:
        """The policy's part of the configuration, to be changed in place."""
        found: dict[str, Any] = self._content["applications"][0]["autoscaling_policy"]
        return found

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment's part of the configuration, to be changed in place."""
        deployments = self._content["applications"][0]["deployments"]
        found: dict[str, Any] = next(each for each in deployments if each["name"] == name)
        return found

    def scale(self, name: str, bounds: Bounds, *, deploy: bool = True, **delays: float) -> None:
        """Change a deployment's bounds and delays, which restarts nothing."""
        scaling = self.deployment(name)["autoscaling_config"]
        scaling |= {"min_replicas": bounds.least, "max_replicas": bounds.most, **delays}
        if deploy:
            self.deploy()

    def deploy(self) -> None:
        """Deploy the configuration as it is, and wait until it runs.

        Raises:
            TimeoutError: It does not.
        """
        ServeConfig.model_validate(self._content)
        served = {key: value for key, value in self._content.items() if key != "environment"}
        self._client.deploy_apps(ServeDeploySchema.model_validate(served), _blocking=False)
        until(self._runs, "the service does not run")

    def fleet(self, name: str) -> Fleet:
        """Return a deployment's replicas."""
        details = self._client.get_serve_details()
        found = details["applications"]["sentiment"]["deployments"][name]
        replicas = [
            Replica(each.get("pid"), each.get("node_id"), each["state"])
            for each in found["replicas"]
        ]
        return Fleet(found["target_num_replicas"], replicas)

    def until_running(self, name: str, count: int) -> None:
        """Wait until exactly so many replicas run and no other exists.

        Raises:
            TimeoutError: They do not.
        """

        def settled() -> bool:
            fleet = self.fleet(name)
            return len(fleet.running) == len(fleet.replicas) == count

        until(settled, f"there are not {count} replicas of {name}")

    def _runs(self) -> bool:
        applications = serve.status().applications.values()
        return [each.status for each in applications] == [ApplicationStatus.RUNNING]


def until(true: Callable[[], bool], problem: str) -> None:
    """Wait.

    Raises:
        TimeoutError: It does not become true.
    """
    deadline = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{problem} within {WAIT_S:.0f} s")
        time.sleep(POLL_S)


def _content(cost: SimulatedCost, gateways: int, port: int, proxy_location: str) -> dict[str, Any]:
    content = read(PROD)
    content |= {
        "applications": content["applications"][:1],
        "proxy_location": proxy_location,
        "http_options": {"host": "127.0.0.1", "port": port},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
    }
    application = content["applications"][0]
    application["args"] = {
        "model": "embedded",
        "engine": "simulated",
        "simulated": cost.model_dump(),
        "cache": "memory://",
    }
    gateway, classifier = application["deployments"]
    gateway["ray_actor_options"]["num_cpus"] = GATEWAY_CPUS
    gateway["max_ongoing_requests"] = 2 * PENDING_TEXTS
    gateway["user_config"] = {
        "max_pending_texts": PENDING_TEXTS,
        "max_wait_s": WAIT_S,
        "chunk_texts": CHUNK_TEXTS,
        "max_calls_per_replica": CALLS_PER_REPLICA,
        "cache_memory_entries": 1,
    }
    classifier["ray_actor_options"]["num_cpus"] = CLASSIFIER_CPUS
    classifier["max_queued_requests"] = PENDING_TEXTS + 1
    # Ray's router asks a replica for the length of its queue only where it takes it to be full:
    # with room for many more calls than there are, one of two replicas was idle for seconds.
    room = 3 * CALLS_PER_REPLICA * gateways // 2
    classifier["max_ongoing_requests"] = room
    classifier["user_config"] = {
        "max_batch_requests": room,
        "max_batch_tokens": BATCH_TEXTS * TOKENS,
    }
    return content
