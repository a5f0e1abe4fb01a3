"""The sizes of pods and nodes, and the number of them that a load needed."""

import time
from math import ceil, pow
from typing import Final, NamedTuple

from serve_app.engine.engine import load_engine
from serve_app.model.store import ModelIdentity
from serve_app.settings import ClassifierSettings, EngineName, ScalingSettings


class Role(NamedTuple):
    """A deployment's share of a worker pod.

    Attributes:
        cpus: CPUs that Ray reserves for a replica, which computes in one thread.
        per_pod: Replicas in a full pod.
    """

    cpus: int
    per_pod: int

    @property
    def min_replicas(self) -> int:
        """One more than in a pod, so that two pods always serve."""
        return self.per_pod + 1

    @property
    def max_replicas(self) -> int:
        """The replicas of all pods."""
        return self.per_pod * MAX_PODS


# A gateway handles the requests of two busy classifiers and cached requests besides: see "How many
# gateways" in docs/scaling.md.
GATEWAY: Final = Role(cpus=1, per_pod=2)
CLASSIFIER: Final = Role(cpus=1, per_pod=4)

# CPUs for replicas; HAProxy and Ray's own processes take half a CPU more.
POD_CPUS: Final = GATEWAY.cpus * GATEWAY.per_pod + CLASSIFIER.cpus * CLASSIFIER.per_pod
POD_CPU_REQUEST: Final = POD_CPUS + 0.5
MIN_PODS: Final = 2
MAX_PODS: Final = 8

# One worker pod fills a node: AKS leaves 7.8 of eight CPUs, and daemons take some of them.
NODE_SIZE: Final = "Standard_D8ds_v5"
NODE_CPUS: Final = 8
# Two clusters run side by side while a new version starts.
MAX_NODES: Final = 2 * MAX_PODS

# A replica goes after the first time, its pod after the second, its node after ten more minutes,
# the default of the AKS autoscaler.
REPLICA_IDLE_S: Final = 300
POD_IDLE_S: Final = 300


class Load(NamedTuple):
    """Traffic of clients.

    Attributes:
        rps: Requests each second.
        texts: Texts in a request.
        tokens: Tokens in a text, special tokens included.
        hit_rate: Share of the texts in the cache, from 0 to 1.
    """

    rps: float
    texts: float
    tokens: float
    hit_rate: float


class GatewayCost(NamedTuple):
    """CPU time of a gateway, measured, in milliseconds.

    Attributes:
        request_ms: For each request.
        hit_ms: For a text in the cache.
        ask_ms: For a request that calls classifiers, without its texts.
        miss_ms: For a text that is sent to them.
    """

    request_ms: float
    hit_ms: float
    ask_ms: float
    miss_ms: float

    def of(self, texts: float, hit_rate: float) -> float:
        """Return the average for a request, whose texts are hits independently of each other."""
        asks = 1 - pow(hit_rate, texts)
        text_ms = hit_rate * self.hit_ms + (1 - hit_rate) * self.miss_ms
        return self.request_ms + asks * self.ask_ms + texts * text_ms


class Plan(NamedTuple):
    """Replicas, worker pods and their nodes for a load.

    Attributes:
        gateway_use: Share of their CPU time that the gateways use.
        classifier_use: Share of their CPU time that the classifiers use.
    """

    gateways: int
    classifiers: int
    pods: int
    nodes: int
    gateway_use: float
    classifier_use: float

    @property
    def fits(self) -> bool:
        """Whether it is within the limit of pods."""
        return self.pods <= MAX_PODS

    @property
    def fits_an_upgrade(self) -> bool:
        """Whether a second cluster of the same size fits the node pool beside it."""
        return 2 * self.nodes <= MAX_NODES


def plan(load: Load, tokens_per_s: float, cost: GatewayCost, utilization: float) -> Plan:
    """Return the plan for a load.

    Args:
        load: Traffic of clients.
        tokens_per_s: Rate of a classifier in full batches.
        cost: CPU time of a gateway.
        utilization: Share of a replica's CPU time to plan with; the rest is headroom for
            bursts, for the loss of a pod, and for short queues.
    """
    missed = load.rps * load.texts * (1 - load.hit_rate)
    classifier_cpus = missed * load.tokens / tokens_per_s
    gateway_cpus = load.rps * cost.of(load.texts, load.hit_rate) / 1000
    classifiers = _replicas(classifier_cpus, CLASSIFIER, utilization)
    gateways = _replicas(gateway_cpus, GATEWAY, utilization)
    pods = max(MIN_PODS, ceil(classifiers / CLASSIFIER.per_pod), ceil(gateways / GATEWAY.per_pod))
    return Plan(
        gateways=gateways,
        classifiers=classifiers,
        pods=pods,
        nodes=pods,
        gateway_use=gateway_cpus / (gateways * GATEWAY.cpus),
        classifier_use=classifier_cpus / (classifiers * CLASSIFIER.cpus),
    )


def _replicas(cpus: float, role: Role, utilization: float) -> int:
    return max(role.min_replicas, ceil(cpus / (role.cpus * utilization)))


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
    """Measure full batches in one thread, in CPU time, which other processes do not change.

    Args:
        model: A prepared model.
        engine: Engine to run it.
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
    """Return the plan for a load as text.

    Args:
        load: Traffic of clients.
        tokens_per_s: Rate of a classifier in full batches.
        source: Origin of that rate, for the reader.
    """
    utilization = ScalingSettings().target_utilization
    cost = GATEWAY_COST
    needed = plan(load, tokens_per_s, cost, utilization)
    lines = [
        f"gateways     {needed.gateways:4}   used by {needed.gateway_use:.0%}",
        f"classifiers  {needed.classifiers:4}   used by {needed.classifier_use:.0%}",
        f"worker pods  {needed.pods:4}   {POD_CPUS} CPUs each for replicas",
        f"nodes        {needed.nodes:4}   {NODE_SIZE}, one pod each; twice as many in an upgrade",
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
    if not needed.fits:
        lines.append(f"It exceeds the limit of {MAX_PODS} pods: raise MAX_PODS in the table.")
    elif not needed.fits_an_upgrade:
        lines.append(f"An upgrade would need more than the limit of {MAX_NODES} nodes.")
    return "\n".join(lines)
