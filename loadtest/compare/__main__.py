"""`make compare`: the service and its peers, in turn, under the same load."""

import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtest.bench import service
from loadtest.bench.measure import Pace, sample
from loadtest.bench.model import base_model
from loadtest.bench.texts import Texts
from loadtest.bench.workloads import WORKLOADS
from loadtest.compare import peer
from loadtest.compare.check import texts as check_texts
from loadtest.compare.check import verify
from loadtest.compare.environments import python_of, version_of
from loadtest.compare.report import COMPARED, markdown
from loadtest.compare.results import OURS, Results, Sample, read
from loadtest.compare.systems import SYSTEMS
from loadtest.machine import facts
from loadtest.service import Running
from serve_app.console import fail, say
from serve_app.errors import StartupError

RESULTS: Final = Path(__file__).parent / "results.json"


def compare(
    *,
    systems: Annotated[str, typer.Option(help="Peers, separated by commas.")] = ",".join(SYSTEMS),
    only: Annotated[str, typer.Option(help="Workloads, separated by commas.")] = ",".join(COMPARED),
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 5.0,
    warm_up: Annotated[float, typer.Option(help="Seconds before each that do not count.")] = 2.5,
    sessions: Annotated[int, typer.Option(help="How often all systems take their turn.")] = 3,
    results: Annotated[
        Path, typer.Option("--json", help="Write samples here, after those that it holds.")
    ] = RESULTS,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the samples it holds.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Measure nothing, print what the file holds.")
    ] = False,
) -> None:
    """Measure the service and its peers on this machine, and print a Markdown table."""
    if report:
        sys.stdout.write(markdown(read(results)))
        return
    pace, names = Pace(warm_up, seconds, 1), only.split(",")
    peers = [name for name in systems.split(",") if name]
    found = Results(facts(), {}, [])
    if results.exists() and not fresh:
        held = read(results)
        found = found._replace(versions=held.versions, samples=held.samples)
    for name in peers:
        system = SYSTEMS[name]
        python = python_of(system.requirements, standalone=system.standalone)
        found.versions[name] = version_of(system.package, python)
    for _ in range(sessions):
        session = datetime.now(UTC).isoformat(timespec="seconds")
        # Ours first and last, so that a drift of the machine falls on both sides of the peers.
        for name in (OURS, *peers, OURS):
            found.samples.extend(_measure(name, session, names, pace))
            found.write(results)
    sys.stdout.write(markdown(found))


def _measure(name: str, session: str, names: list[str], pace: Pace) -> list[Sample]:
    """Start a system, check its answers, measure each workload once, and end it."""
    model, texts, samples = base_model(), Texts(), []
    with _running(name, model) as running:
        path, key = _address(name)
        answer = peer.ask(running.url + path, key, check_texts())
        system = SYSTEMS.get(name)
        predictions = system.predictions(answer) if system else answer["predictions"]
        verify(name, system.engine if system else service.ENGINE, model, predictions)
        for workload in (WORKLOADS[each] for each in names):
            taken = sample(running.url + path, workload, texts, pace, running.roots, key=key)
            measured = taken.measurement
            say(f"{name} {workload.name}: {measured.texts_s:.0f} texts/s")
            samples.append(
                Sample(
                    session=session,
                    system=name,
                    workload=workload.name,
                    requests_s=round(measured.requests_s, 2),
                    texts_s=round(measured.texts_s, 2),
                    p50_ms=round(measured.p50_ms, 2),
                    p99_ms=round(measured.p99_ms, 2),
                    others_cpu=round(taken.others_cpu, 3),
                )
            )
    return samples


def _running(name: str, model: Path) -> AbstractContextManager[Running]:
    if name == OURS:
        return service.running(str(model), gateways=1)
    return peer.running(SYSTEMS[name], model)


def _address(name: str) -> tuple[str, str]:
    if name == OURS:
        return service.PATH, "text"
    return SYSTEMS[name].path, SYSTEMS[name].key


if __name__ == "__main__":
    try:
        typer.run(compare)
    except StartupError as error:
        fail(error)
