"""Saturates a fixed number of replicas, and takes the cost of the gateway on the way."""

import time
from typing import Final, NamedTuple

from loadtest.scale.generator import Plan
from loadtest.scale.lab import CLASSIFIER, GATEWAY, Bounds, Lab
from loadtest.scale.processes import total_cpu_seconds
from loadtest.scale.traffic import Counts, Traffic, counts, percentile_ms

# The first seconds fill the queues, and what is answered last no longer competes.
WARM_UP_S: Final = 4.0


class Throughput(NamedTuple):
    """What a number of replicas did under saturating load.

    Attributes:
        replicas: How many classifiers.
        texts: Texts in a request.
        texts_s: Texts answered each second.
        gateway_cpu: CPUs that the gateway used.
        gateway_request_ms: The gateway's CPU time for a request with its texts.
        classifier_cpu: CPUs that one classifier used.
        p50_ms: Median time to an answer.
        p99_ms: Its 99th percentile.
        counts: What became of the requests.
    """

    replicas: int
    texts: int
    texts_s: float
    gateway_cpu: float
    gateway_request_ms: float
    classifier_cpu: float
    p50_ms: float
    p99_ms: float
    counts: Counts


def saturate(lab: Lab, replicas: int, seconds: float, plan: Plan) -> Throughput:
    """Measure so many replicas under saturating load.

    Args:
        lab: The service.
        replicas: How many classifiers.
        seconds: How long, the warm-up included.
        plan: A closed loop; how long it runs is set here.
    """
    lab.scale(CLASSIFIER, Bounds(replicas, replicas))
    lab.until_running(CLASSIFIER, replicas)
    gateways, classifiers = lab.fleet(GATEWAY).running, lab.fleet(CLASSIFIER).running
    before, started = (
        (total_cpu_seconds(gateways), total_cpu_seconds(classifiers)),
        time.monotonic(),
    )
    with Traffic(plan._replace(seconds=seconds)) as traffic:
        pass
    took = time.monotonic() - started
    gateway = total_cpu_seconds(gateways) - before[0]
    records = traffic.records
    first = min(record.sent for record in records)
    counted = [
        record for record in records if WARM_UP_S <= record.sent + record.seconds - first <= seconds
    ]
    return Throughput(
        replicas=replicas,
        texts=plan.texts,
        texts_s=len(counted) * plan.texts / (seconds - WARM_UP_S),
        gateway_cpu=gateway / took,
        gateway_request_ms=gateway / len(records) * 1000,
        classifier_cpu=(total_cpu_seconds(classifiers) - before[1]) / took / replicas,
        p50_ms=percentile_ms(counted, 50),
        p99_ms=percentile_ms(counted, 99),
        counts=counts(records),
    )
