"""`make bench`: the service's speed, memory and cold start, beside the engine's limit."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from loadtest.bench.ceiling import generator_ceiling
from loadtest.bench.cold_start import cold_start_s
from loadtest.bench.engine_limit import engine_limit
from loadtest.bench.machine import facts
from loadtest.bench.measure import Pace, medians, sample
from loadtest.bench.mixed_lengths import mixed_lengths
from loadtest.bench.model import base_model
from loadtest.bench.processes import family, replica_memory
from loadtest.bench.report import markdown
from loadtest.bench.service import ENGINE, PATH, running
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import WORKLOADS
from serve_app.console import say
from serve_app.settings import ClassifierSettings

PARTS = ("ceiling", "limit", "workloads", "cold", "mixed")


def bench(
    *,
    only: Annotated[str, typer.Option(help="Workloads, separated by commas.")] = "",
    parts: Annotated[str, typer.Option(help="Parts, separated by commas.")] = ",".join(PARTS),
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
    workloads = [WORKLOADS[name] for name in only.split(",") if name] or [*WORKLOADS.values()]
    chosen = parts.split(",")
    model = "embedded" if embedded else str(base_model())
    result: dict[str, Any] = {
        "model": "embedded model" if embedded else "DistilBERT-base size, random weights",
        "engine": ENGINE,
        "machine": facts(),
        "seconds": seconds,
        "repeats": repeats,
    }
    if "ceiling" in chosen:
        say("the load generator's own ceiling")
        result["generator_ceiling"] = asdict(generator_ceiling(seconds / 2))
    if "limit" in chosen:
        say("the engine's limit")
        limit = engine_limit(model, ENGINE, seconds / 2)
        result["engine_limit"] = {
            "variants": [variant._asdict() for variant in limit.variants],
            "texts_s": limit.texts_s,
            "one_text_ms": limit.one_text_ms,
        }
    if "workloads" in chosen:
        pace, texts = Pace(warm_up, seconds, repeats), Texts()
        samples: dict[str, list[Any]] = {workload.name: [] for workload in workloads}
        with running(model, gateways) as service:
            for _ in range(repeats):
                for workload in workloads:
                    url = service.url + PATH
                    found = sample(url, workload, texts, pace, service.roots)
                    say(f"{workload.name}: {found.measurement.texts_s:.0f} texts/s")
                    samples[workload.name].append(found)
            result["memory"] = [
                replica._asdict() for replica in replica_memory(family(service.roots))
            ]
        result["workloads"] = {name: medians(found) for name, found in samples.items()}
    if "cold" in chosen:
        say("cold start")
        result["cold_start_s"] = cold_start_s(model, ENGINE)
    if "mixed" in chosen:
        say("mixed lengths")
        budget = ClassifierSettings().max_batch_tokens
        result["mixed_lengths"] = mixed_lengths(model, ENGINE, budget)._asdict()
    if results is not None:
        results.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(markdown(result))


if __name__ == "__main__":
    typer.run(bench)
