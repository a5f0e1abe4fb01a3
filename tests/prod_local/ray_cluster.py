"""Head and workers as KubeRay starts them."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import httpx
import yaml

from loadtest.redis_server import RedisServer
from loadtest.service import eventually
from serve_app.console import say
from serve_app.ray_serve.config import ServeConfig
from serve_app.ray_serve.launch import HAPROXY
from tests.prod_local.pods import GATEWAY, Pod

HTTP_PORT: Final = 8000
START_S: Final = 120.0
DEPLOY_ATTEMPTS: Final = 3
_GCS_PORT: Final = 6379
_DASHBOARD_PORT: Final = 8265
_AGENT_PORT: Final = 52365
_WORKER_CPUS: Final = 4
_OBJECT_STORE_BYTES: Final = 100_000_000
# What KubeRay 1.7.0 gives the containers of a RayService, see common/pod.go there.
_OF_KUBERAY: Final = {
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
}
# The name of a pod's group becomes Ray's label `ray.io/node-group`.
_OF_KUBERAY_HEAD: Final = {"RAY_NODE_TYPE_NAME": "headgroup"}
_OF_KUBERAY_WORKERS: Final = {
    "RAY_NODE_TYPE_NAME": "cpu",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
}

Replica = tuple[str, str, int]


class Plan(NamedTuple):
    """What clusters have in common.

    Attributes:
        config: The production configuration.
        workers: How many worker pods a cluster has.
        control: The Redis that control planes keep their state in.
        cache: The Redis that gateways share.
        files: Directory for logs and the pods' files.
    """

    config: ServeConfig
    workers: int
    control: RedisServer
    cache: RedisServer
    files: Path


def redis(*arguments: str) -> RedisServer:
    """Make a Redis that pods can reach, with a password; to be entered."""
    return RedisServer("--bind", "127.0.0.1", GATEWAY, *arguments, password=secrets.token_hex())


class RayCluster:
    """A Ray cluster of pods.

    Args:
        plan: What it has in common with others.
        number: Tells it from others, 1 to 9.
        environment: Further variables of every container, such as `SENTIMENT_MODEL`.
    """

    def __init__(self, plan: Plan, number: int, environment: dict[str, str]) -> None:
        self._plan = plan
        self._name = f"c{number}"
        self.head = Pod(f"{self._name}-head", 10 * number, plan.files)
        self.workers = [
            Pod(f"{self._name}-w{n}", 10 * number + n, plan.files)
            for n in range(1, plan.workers + 1)
        ]
        self._gcs = f"{self.head.address}:{_GCS_PORT}"
        token = secrets.token_hex()
        self._api = httpx.Client(
            base_url=f"http://{self.head.address}:{_DASHBOARD_PORT}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        cache = f":{plan.cache.password}@{GATEWAY}:{plan.cache.port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            **HAPROXY,
            **plan.config.environment,
            **_OF_KUBERAY,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_ADDRESS": self._gcs,
            "SENTIMENT_CACHE_URL": f"redis://{cache}/0",
            **environment,
        }

    @property
    def nodes(self) -> list[str]:
        """Base URLs of the workers."""
        return [f"http://{worker.address}:{HTTP_PORT}" for worker in self.workers]

    def start(self) -> None:
        """Start every pod and wait until the workers have joined."""
        self.start_head()
        eventually(self.head_answers, "the head answers", START_S)
        for worker in self.workers:
            worker.start(
                [*_RAY_START, f"--address={self._gcs}", f"--num-cpus={_WORKER_CPUS}"],
                self._environment | _OF_KUBERAY_WORKERS,
            )
        eventually(lambda: len(self._nodes()) == 1 + len(self.workers), "workers join", START_S)

    def start_head(self) -> None:
        """Start the head with an empty disk; what it knew, it reads from Redis."""
        control = self._plan.control
        self.head.start(
            [
                *(*_RAY_START, "--head", "--num-cpus=0", "--dashboard-host=0.0.0.0"),
                *(f"--port={_GCS_PORT}", f"--redis-password={control.password}"),
            ],
            self._environment
            | _OF_KUBERAY_HEAD
            | {
                "RAY_REDIS_ADDRESS": f"{GATEWAY}:{control.port}",
                "RAY_external_storage_namespace": self._name,
            },
        )

    def deploy(self, serve_config: dict[str, Any]) -> None:
        """Run `serve deploy`, which makes the same request as KubeRay does, until it is taken.

        KubeRay makes it again too where a head that has just started does not answer in time.
        """
        path = self._plan.files / f"{self._name}.yaml"
        path.write_text(yaml.safe_dump(serve_config))
        for left in reversed(range(DEPLOY_ATTEMPTS)):
            done = subprocess.run(
                [_program("serve"), "deploy", str(path), "--address", str(self._api.base_url)],
                env=self._environment,
                check=False,
                capture_output=True,
                text=True,
                timeout=START_S,
            )
            if done.returncode == 0:
                return
            say(f"serve deploy failed, {left} attempts left: {done.stderr.strip()[-500:]}")
        raise RuntimeError("serve deploy failed")

    def applications(self) -> dict[str, Any]:
        """Return what Serve tells of each application."""
        answer = self._api.get("/api/serve/applications/").raise_for_status()
        return dict(answer.json()["applications"])

    def settled(self) -> bool:
        """Tell whether every application runs as it was last deployed."""
        applications = self.applications().values()
        for application in applications:
            if application["status"] == "DEPLOY_FAILED":
                raise RuntimeError(f"an application failed: {application['message']}")
        return bool(applications) and all(
            application["status"] == "RUNNING"
            and all(part["status"] == "HEALTHY" for part in application["deployments"].values())
            for application in applications
        )

    def submitted(self) -> float:
        """Return when Serve was last given a configuration."""
        return max(float(one["last_deployed_time_s"]) for one in self.applications().values())

    def replicas(self) -> dict[str, set[Replica]]:
        """Return each deployment's replicas as (node's address, id, process id)."""
        return {
            name: {
                (replica["node_ip"], replica["replica_id"], replica["pid"])
                for replica in deployment["replicas"]
                if replica["state"] == "RUNNING"
            }
            for application in self.applications().values()
            for name, deployment in application["deployments"].items()
        }

    def head_answers(self) -> bool:
        """Tell whether the control plane answers."""
        try:
            return self._api.get("/api/serve/applications/").is_success
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every pod."""
        self._api.close()
        for pod in (*self.workers, self.head):
            pod.kill()

    def _nodes(self) -> list[str]:
        nodes = self._api.get("/nodes?view=summary").raise_for_status().json()["data"]["summary"]
        return [node["ip"] for node in nodes if node["raylet"].get("state") == "ALIVE"]


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


_RAY_START: Final = (
    *(_program("ray"), "start", "--block", f"--object-store-memory={_OBJECT_STORE_BYTES}"),
    *(f"--dashboard-agent-listen-port={_AGENT_PORT}", "--metrics-export-port=8080"),
)
