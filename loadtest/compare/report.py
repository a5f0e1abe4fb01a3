"""Results as one Markdown table with ratios."""

from loadtest.bench.report import table
from loadtest.compare.results import OURS, Results
from loadtest.compare.systems import SYSTEMS
from loadtest.machine import sentence

COMPARED = ("U1", "U16", "M95", "H1", "H32", "L1")


def markdown(results: Results) -> str:
    """Return speeds, ratios and latencies of all systems, and what they were taken on."""
    parts = [_ratios(results), _latencies(results), _systems(results), sentence(results.machine)]
    return "\n\n".join(parts) + "\n"


def _ratios(results: Results) -> str:
    rows = [[OURS, *(f"{_speed(results, OURS, name)}" for name in COMPARED)]]
    for system in results.systems()[1:]:
        row = [system]
        for name in COMPARED:
            median, _, _ = results.ratio(system, name)
            row.append(f"{_speed(results, system, name)} (**{median:.2f}**)")
        rows.append(row)
    head = ["", *(f"{name}, {_unit(name)}" for name in COMPARED)]
    return table(head, rows)


def _latencies(results: Results) -> str:
    rows = [
        [
            system,
            *(
                f"{results.median(system, name, 'p50_ms'):.1f} / "
                f"{results.median(system, name, 'p99_ms'):.1f}"
                for name in COMPARED
            ),
        ]
        for system in results.systems()
    ]
    return "p50 / p99 in ms\n\n" + table(["", *COMPARED], rows)


def _systems(results: Results) -> str:
    rows = [
        [
            name,
            SYSTEMS[name].about,
            SYSTEMS[name].engine,
            f"{SYSTEMS[name].package} {results.versions[name]}",
        ]
        for name in results.systems()[1:]
    ]
    return table(["", "what it is", "engine", "version"], rows)


def _unit(workload: str) -> str:
    return "texts/s" if workload.startswith("U") else "req/s"


def _speed(results: Results, system: str, workload: str) -> str:
    figure = "texts_s" if _unit(workload) == "texts/s" else "requests_s"
    speed = results.median(system, workload, figure)
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"  # noqa: PLR2004 - digits to show
