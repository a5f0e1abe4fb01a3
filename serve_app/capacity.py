"""From a load to gateways, classifiers, pods and nodes. Pure arithmetic."""

import time
from math import ceil, pow
from typing import Final, NamedTuple

from serve_app.engine.engine import load_engine
from serve_app.model.store import ModelIdentity
from serve_app.settings import ClassifierSettings, EngineName, ScalingSettings


class Role(NamedTuple):
    """One deployment's share of a worker pod.

    Attributes:
        cpus: CPUs that Ray reserves for a replica, which computes in one thread.
        per_pod: Replicas that a full pod holds.
    """

    cpus: int
    per_pod: int

    @property
    def least(self) -> int:
        """Fewest replicas: one more than a pod holds, so that two pods always serve."""
        return self.per_pod + 1

    @property
    def most(self) -> int:
        """Most replicas: those of all pods."""
        return self.per_pod * PODS_MOST


# A classifier computes without pause under load. A gateway takes the requests of two of them and
# cached ones besides, see "How many gateways" in docs/scaling.md.
GATEWAY: Final = Role(cpus=1, per_pod=2)
CLASSIFIER: Final = Role(cpus=1, per_pod=4)

# What Ray may give to replicas; HAProxy and Ray's own processes take half a CPU more.
POD_CPUS: Final = GATEWAY.cpus * GATEWAY.per_pod + CLASSIFIER.cpus * CLASSIFIER.per_pod
POD_CPU_REQUEST: Final = POD_CPUS + 0.5
PODS_LEAST: Final = 2
PODS_MOST: Final = 8

# One worker pod fills a node: what AKS leaves of eight CPUs is 7.8, daemons take some of it.
NODE_SIZE: Final = "Standard_D8ds_v5"
NODE_CPUS: Final = 8
# While a new version starts, two clusters run side by side.
NODES_MOST: Final = 2 * PODS_MOST

# Each step waits for the one before to settle: replicas go after the first of these, their pod
# after the second more, its node ten minutes later, the default of the AKS autoscaler.
REPLICA_IDLE_S: Final = 300
POD_IDLE_S: Final = 300


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


# docs/benchmarks.md, U16: 89.5 ms of a classifier's CPU for 16 texts of 21 tokens.
TOKENS_PER_S: Final = 3_750.0
TOKENS_SOURCE: Final = "DistilBERT-base on onnx-int8, docs/benchmarks.md"

# With m for the milliseconds of the gateway's CPU in docs/benchmarks.md:
GATEWAY_COST: Final = GatewayCost(
    request_ms=0.31,  # m(H1)
    hit_ms=0.0033,  # docs/scaling/hits.json, "alone": 1.18 ms for 256 texts, less request_ms
    ask_ms=0.52,  # m(U1) - request_ms - miss_ms
    miss_ms=0.30,  # (m(U16) - m(U1)) / 15
)


MEASURE_S: Final = 5.0


def tokens_per_second(model: ModelIdentity, engine: EngineName, tokens: int) -> float:
    """Run full batches in one thread for a few seconds of CPU time.

    CPU time, because what else this machine does is not to count: a replica has a CPU to itself.

    Args:
        model: A prepared model.
        engine: What runs it.
        tokens: Tokens in each text.

    Raises:
        ModelUnusable: The engine's files or packages are missing.
    """
    texts = max(1, ClassifierSettings().max_batch_tokens // tokens)
    batch = [[model.pad_id] * tokens] * texts
    loaded = load_engine(model, engine, threads=1)
    passes = 0
    started = time.process_time()
    while (seconds := time.process_time() - started) < MEASURE_S:
        loaded.logits(batch)
        passes += 1
    return passes * texts * tokens / seconds


def report(load: Load, tokens_per_s: float, source: str) -> str:
    """Return what a load needs, a line for each part.

    Args:
        load: What clients send.
        tokens_per_s: What one classifier replica computes each second.
        source: Where that figure comes from.
    """
    utilization = ScalingSettings().target_utilization
    cost = GATEWAY_COST
    needs = plan(load, tokens_per_s, cost, utilization)
    lines = [
        f"gateways     {needs.gateways:4}   used by {needs.gateway_use:.0%}",
        f"classifiers  {needs.classifiers:4}   used by {needs.classifier_use:.0%}",
        f"worker pods  {needs.pods:4}   {POD_CPUS} CPUs each for replicas",
        f"nodes        {needs.nodes:4}   {NODE_SIZE}, one pod each; twice as many in an upgrade",
        "",
        "This rests on",
        f"  {tokens_per_s:,.0f} tokens/s a classifier: {source}",
        f"  {cost.request_ms:g} ms of a gateway's CPU a request, {cost.ask_ms:g} ms more "
        "if it asks classifiers,",
        f"  {cost.miss_ms:g} ms a text it asks for, {cost.hit_ms:g} ms one from the cache: "
        "docs/scaling.md",
        f"  {1 - utilization:.0%} headroom: target_utilization is {utilization:g}",
        "  at least as many replicas as keep two pods busy",
    ]
    if not needs.fits:
        lines.append(f"It exceeds the limit of {PODS_MOST} pods: raise PODS_MOST in the table.")
    elif not needs.fits_an_upgrade:
        lines.append(f"An upgrade would need more than the limit of {NODES_MOST} nodes.")
    return "\n".join(lines)
