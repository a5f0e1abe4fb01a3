"""`make bench`: the service's speed, memory and cold start, beside the engine's limit."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from loadtest.bench.ceiling import generator_ceiling
from loadtest.bench.cold_start import cold_start_s
from loadtest.bench.engine_limit import engine_limit
from loadtest.bench.measure import Pace, Sample, medians, sample
from loadtest.bench.mixed_lengths import mixed_lengths
from loadtest.bench.model import base_model
from loadtest.bench.report import markdown
from loadtest.bench.service import ENGINE, PATH, max_batch_tokens, running
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import WORKLOADS, Workload
from loadtest.machine import facts
from loadtest.processes import family, replica_memory
from serve_app.console import fail, say
from serve_app.errors import StartupError

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


def bench(
    *,
    parts: Annotated[str, typer.Option(help="What to measure.")] = ",".join(PARTS),
    only: Annotated[str, typer.Option(help="Workloads of the service.")] = ",".join(WORKLOADS),
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 6.0,
    warm_up: Annotated[float, typer.Option(help="Seconds before each that do not count.")] = 2.0,
    repeats: Annotated[int, typer.Option(help="Rounds, of which medians are taken.")] = 3,
    gateways: Annotated[int, typer.Option(help="Gateway replicas.")] = 1,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="The embedded model instead of base size.")
    ] = False,
    results: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure the service on this machine alone, and print Markdown tables."""
    model = "embedded" if embedded else str(base_model())
    workloads = [WORKLOADS[name] for name in only.split(",")]
    chosen = Bench(model, workloads, Pace(warm_up, seconds, repeats), gateways)
    result: dict[str, Any] = {
        "model": "embedded model" if embedded else "DistilBERT-base size, random weights",
        "engine": ENGINE,
        "machine": facts(),
        "seconds": seconds,
        "repeats": repeats,
    }
    for part in parts.split(","):
        say(f"measuring: {part}")
        result[part] = PARTS[part](chosen)
        if results is not None:
            results.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(markdown(result))


if __name__ == "__main__":
    try:
        typer.run(bench)
    except StartupError as error:
        fail(error)
