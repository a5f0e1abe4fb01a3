"""From a load to gateways, classifiers, pods and nodes. Pure arithmetic."""

from math import ceil, pow
from typing import NamedTuple

from serve_app.capacity.table import (
    CLASSIFIER,
    GATEWAY,
    NODES_MOST,
    PODS_LEAST,
    PODS_MOST,
    Role,
)


class Load(NamedTuple):
    """What clients send.

    Attributes:
        rps: Requests each second.
        texts: Texts in a request.
        tokens: Tokens in a text, special tokens included.
        hit_rate: Share of the texts that the cache knows, from 0 to 1.
    """

    rps: float
    texts: float
    tokens: float
    hit_rate: float


class GatewayCost(NamedTuple):
    """CPU time of a gateway, measured, in milliseconds.

    Attributes:
        request_ms: For a request, whatever it holds.
        hit_ms: For a text that the cache knows.
        ask_ms: For a request that asks classifiers, its texts apart.
        miss_ms: For a text that they are asked for.
    """

    request_ms: float
    hit_ms: float
    ask_ms: float
    miss_ms: float

    def of(self, texts: float, hit_rate: float) -> float:
        """Return the milliseconds for a request, on average.

        Each text is taken to be a hit or not whatever the others of its request are.

        Args:
            texts: Texts in the request.
            hit_rate: Share of the texts that the cache knows, from 0 to 1.
        """
        asks = 1 - pow(hit_rate, texts)
        text_ms = hit_rate * self.hit_ms + (1 - hit_rate) * self.miss_ms
        return self.request_ms + asks * self.ask_ms + texts * text_ms


class Plan(NamedTuple):
    """What a load needs.

    Attributes:
        gateways: Gateway replicas.
        classifiers: Classifier replicas.
        pods: Worker pods.
        nodes: Nodes for the worker pods, one each.
        gateway_use: Share of their CPU time that the gateways then use.
        classifier_use: The same of the classifiers.
    """

    gateways: int
    classifiers: int
    pods: int
    nodes: int
    gateway_use: float
    classifier_use: float

    @property
    def fits(self) -> bool:
        """Whether the limits of the table allow it."""
        return self.pods <= PODS_MOST

    @property
    def fits_an_upgrade(self) -> bool:
        """Whether a second cluster of the same size fits the node pool beside it."""
        return 2 * self.nodes <= NODES_MOST


def plan(load: Load, tokens_per_s: float, cost: GatewayCost, utilization: float) -> Plan:
    """Return what a load needs.

    Args:
        load: What clients send.
        tokens_per_s: Tokens that a classifier computes each second in full batches.
        cost: What a gateway computes.
        utilization: Share of a replica's CPU time to plan with; the rest is headroom, for
            bursts, for a pod that is lost, and so that queues stay short.
    """
    missed = load.rps * load.texts * (1 - load.hit_rate)
    classifier_cpus = missed * load.tokens / tokens_per_s
    gateway_cpus = load.rps * cost.of(load.texts, load.hit_rate) / 1000
    classifiers = _replicas(classifier_cpus, CLASSIFIER, utilization)
    gateways = _replicas(gateway_cpus, GATEWAY, utilization)
    pods = max(PODS_LEAST, ceil(classifiers / CLASSIFIER.per_pod), ceil(gateways / GATEWAY.per_pod))
    return Plan(
        gateways=gateways,
        classifiers=classifiers,
        pods=pods,
        nodes=pods,
        gateway_use=gateway_cpus / (gateways * GATEWAY.cpus),
        classifier_use=classifier_cpus / (classifiers * CLASSIFIER.cpus),
    )


def _replicas(cpus: float, role: Role, utilization: float) -> int:
    return max(role.least, ceil(cpus / (role.cpus * utilization)))
