"""The sizes of pods and nodes, and the number of them that a load needed."""

import time
from math import ceil, pow
from typing import Final, NamedTuple

from serve_app.engine.engine import load_engine
from serve_app.model.store import ModelIdentity
from serve_app.settings import ClassifierSettings, ScalingSettings


class Role(NamedTuple):
    """A deployment's share of a worker pod: CPUs for a replica, and replicas in a full pod."""

    cpus: int
    per_pod: int

    @property
    def min_replicas(self) -> int:
        """One more than in a pod, so that two pods always serve."""
        return self.per_pod + 1


# A gateway handles the requests of two busy classifiers and cached requests besides: see "How many
# gateways" in docs/scaling.md.
GATEWAY: Final = Role(cpus=1, per_pod=2)
CLASSIFIER: Final = Role(cpus=1, per_pod=4)

# CPUs for replicas, not those of HAProxy and of Ray's own processes.
POD_CPUS: Final = GATEWAY.cpus * GATEWAY.per_pod + CLASSIFIER.cpus * CLASSIFIER.per_pod
MIN_PODS: Final = 2
MAX_PODS: Final = 8

# One worker pod fills a node: AKS leaves 7.8 of eight CPUs, and daemons take some of them.
NODE_SIZE: Final = "Standard_D8ds_v5"
# Two clusters run side by side while a new version starts.
MAX_NODES: Final = 2 * MAX_PODS


class Load(NamedTuple):
    """Traffic of clients: requests each second, texts in one, tokens in a text, share of hits."""

    rps: float
    texts: float
    tokens: float
    hit_rate: float


class GatewayCost(NamedTuple):
    """CPU time of a gateway: for a request, a cached text, a call to classifiers, a text in it."""

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
    """Replicas and worker pods, each with a node of its own, and the share of CPU time in use."""

    gateways: int
    classifiers: int
    pods: int
    gateway_use: float
    classifier_use: float

    @property
    def fits(self) -> bool:
        """Whether it is within the limit of pods."""
        return self.pods <= MAX_PODS

    @property
    def fits_an_upgrade(self) -> bool:
        """Whether a second cluster of the same size fits the node pool beside it."""
        return 2 * self.pods <= MAX_NODES


def plan(load: Load, tokens_per_s: float, cost: GatewayCost, utilization: float) -> Plan:
    """Return the plan for a load, with the rate of a classifier in full batches.

    `utilization` is the share of a replica's CPU time to plan with; the rest is headroom for
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

_MEASURE_S: Final = 5.0


def tokens_per_second(model: ModelIdentity, tokens: int) -> float:
    """Measure full batches of texts with so many tokens, by the int8 engine in one thread.

    In CPU time, which other processes do not change. Raises `ModelUnusable` as `load_engine`.
    """
    texts = max(1, ClassifierSettings().max_batch_tokens // tokens)
    batch = [[model.pad_id] * tokens] * texts
    loaded = load_engine(model, "onnx-int8", threads=1)
    passes = 0
    started = time.process_time()
    while (seconds := time.process_time() - started) < _MEASURE_S:
        loaded.logits(batch)
        passes += 1
    return passes * texts * tokens / seconds


def report(load: Load, tokens_per_s: float, source: str) -> str:
    """Return the plan for a load as text; `source` tells where the rate of a classifier is from."""
    utilization, cost = ScalingSettings().target_utilization, GATEWAY_COST
    needed = plan(load, tokens_per_s, cost, utilization)
    lines = [
        f"gateways     {needed.gateways:4}   used by {needed.gateway_use:.0%}",
        f"classifiers  {needed.classifiers:4}   used by {needed.classifier_use:.0%}",
        f"worker pods  {needed.pods:4}   {POD_CPUS} CPUs each for replicas",
        f"nodes        {needed.pods:4}   {NODE_SIZE}, one pod each; twice as many in an upgrade",
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
