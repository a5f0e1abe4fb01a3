"""A Ray cluster of several nodes on this machine, one of which dies under load."""

import logging
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final, NamedTuple

import psutil
import ray
from ray.cluster_utils import Cluster

from loadtest.generator import Stream
from loadtest.ray_service import CLASSIFIER, GATEWAY, WAIT_S, Bounds, RayService
from loadtest.scale.simulated import known_answers, simulated_service, traffic
from loadtest.service import eventually
from loadtest.traffic import Counts, counts, percentile_s
from serve_app.settings import SimulatedCost

WORKERS: Final = 3
NODE_CPUS: Final = 1
GATEWAYS: Final = 3
CLASSIFIERS: Final = 6


class NodeLoss(NamedTuple):
    """What the loss of a node did.

    Attributes:
        before: Replicas on each node, named by number, before one was killed.
        lost: Which one was killed.
        lost_replicas: Replicas that it took along.
        after: Replicas on each node when all were back.
        recovery_s: Seconds from the kill until as many replicas ran as before.
        counts: What became of the requests.
        p50_ms: Median time to an answer.
        p99_ms: Its 99th percentile.
        worst_ms: The longest.
    """

    before: dict[str, int]
    lost: str
    lost_replicas: int
    after: dict[str, int]
    recovery_s: float
    counts: Counts
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Nodes:
    """One head without CPUs and workers of one logical CPU each, every one with its raylet."""

    def __init__(self) -> None:
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self._workers = [self._cluster.add_node(num_cpus=NODE_CPUS) for _ in range(WORKERS)]
        ray.init(
            address=self._cluster.address,
            namespace="serve",
            logging_level=logging.WARNING,
            log_to_driver=False,
        )

    def names(self) -> dict[str, str]:
        """Return each worker's short name by Ray's identity of it."""
        return {node.node_id: f"worker {n}" for n, node in enumerate(self._workers, 1)}

    def kill(self, node_id: str) -> None:
        """Kill a worker's raylet and everything that it started, with SIGKILL."""
        node = next(each for each in self._workers if each.node_id == node_id)
        (raylet,) = node.all_processes["raylet"]
        family = psutil.Process(raylet.process.pid)
        for process in [*family.children(recursive=True), family]:
            with suppress(psutil.Error):
                os.kill(process.pid, signal.SIGKILL)


def lose_a_node(cost: SimulatedCost, stream: Stream, kill_after_s: float) -> NodeLoss:
    """Kill a worker node under load, and see what is lost."""
    nodes = Nodes()
    names = nodes.names()
    service = simulated_service(cost, GATEWAYS, cpus=0)
    service.scale(CLASSIFIER, Bounds(CLASSIFIERS, CLASSIFIERS))
    service.deploy(**{CLASSIFIER: CLASSIFIERS, GATEWAY: GATEWAYS})
    before, all_replicas = _placed(service), GATEWAYS + CLASSIFIERS
    victim = max(before, key=lambda node: (before[node], node))
    recovered: list[float] = []

    def kill() -> None:
        time.sleep(kill_after_s)
        nodes.kill(victim)
        started = time.monotonic()
        eventually(lambda: _placed(service).total() < all_replicas, "replicas are lost", WAIT_S)
        eventually(lambda: _placed(service).total() == all_replicas, "they are back", WAIT_S)
        recovered.append(time.monotonic() - started)

    killer = threading.Thread(target=kill)
    with traffic(service, known_answers(), stream) as load:
        killer.start()
    killer.join()
    records = load.records
    return NodeLoss(
        before={names[node]: count for node, count in sorted(before.items())},
        lost=names[victim],
        lost_replicas=before[victim],
        after={names[node]: count for node, count in sorted(_placed(service).items())},
        recovery_s=recovered[0],
        counts=counts(records),
        p50_ms=1000 * percentile_s(records, 50),
        p99_ms=1000 * percentile_s(records, 99),
        worst_ms=1000 * percentile_s(records, 100),
    )


def _placed(service: RayService) -> Counter[str]:
    fleets = (service.fleet(GATEWAY), service.fleet(CLASSIFIER))
    return Counter(replica.node or "" for fleet in fleets for replica in fleet.running)
