"""`make bench`: the service's speed, memory and cold start, beside the engine's limit."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from loadtest.bench.measure import Pace
from loadtest.bench.model import base_model
from loadtest.bench.parts import PARTS, Bench
from loadtest.bench.report import markdown
from loadtest.bench.service import ENGINE
from loadtest.bench.workloads import WORKLOADS
from loadtest.machine import facts
from serve_app.console import fail, say
from serve_app.errors import StartupError


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
