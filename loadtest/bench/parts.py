"""What `make bench` measures, part by part."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from loadtest.bench.ceiling import generator_ceiling
from loadtest.bench.cold_start import cold_start_s
from loadtest.bench.engine_limit import engine_limit
from loadtest.bench.measure import Pace, Sample, medians, sample
from loadtest.bench.mixed_lengths import mixed_lengths
from loadtest.bench.service import ENGINE, PATH, max_batch_tokens, running
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import Workload
from loadtest.processes import family, replica_memory
from serve_app.console import say

Json = dict[str, Any]


class Bench(NamedTuple):
    """What to measure, and how.

    Attributes:
        model: Where the model comes from.
        workloads: What is asked of the service.
        pace: How long and how often.
        gateways: Gateway replicas.
    """

    model: str
    workloads: Sequence[Workload]
    pace: Pace
    gateways: int


def ceiling(bench: Bench) -> Json:
    """Measure what the load generator itself can do."""
    return asdict(generator_ceiling(bench.pace.seconds / 2))


def limit(bench: Bench) -> Json:
    """Measure what the engine can do with nothing around it."""
    found = engine_limit(bench.model, ENGINE, bench.pace.seconds / 2)
    return {
        "variants": [variant._asdict() for variant in found.variants],
        "texts_s": found.texts_s,
        "one_text_ms": found.one_text_ms,
    }


def service(bench: Bench) -> Json:
    """Measure the service under each workload, and its replicas' memory after that."""
    texts = Texts()
    samples: dict[str, list[Sample]] = {workload.name: [] for workload in bench.workloads}
    with running(bench.model, bench.gateways) as started:
        for _ in range(bench.pace.repeats):
            for workload in bench.workloads:
                found = sample(started.url + PATH, workload, texts, bench.pace, started.roots)
                say(f"  {workload.name}: {found.measurement.texts_s:.0f} texts/s")
                samples[workload.name].append(found)
        memory = [replica._asdict() for replica in replica_memory(family(started.roots))]
    return {
        "workloads": {name: medians(found) for name, found in samples.items()},
        "memory": memory,
    }


def cold(bench: Bench) -> Json:
    """Measure a classifier replica's start."""
    return {"seconds": cold_start_s(bench.model, ENGINE)}


def mixed(bench: Bench) -> Json:
    """Measure what texts of mixed lengths cost together."""
    return mixed_lengths(bench.model, ENGINE, max_batch_tokens())._asdict()


PARTS: Final[dict[str, Callable[[Bench], Json]]] = {
    "ceiling": ceiling,
    "limit": limit,
    "service": service,
    # Once more, as a shared machine is faster at one time than at another.
    "limit-after": limit,
    "cold": cold,
    "mixed": mixed,
}
