"""Figures of a bench as Markdown."""

from collections.abc import Callable
from statistics import mean
from typing import Any, Final

from loadtest.bench.workloads import WORKLOADS
from loadtest.machine import sentence

Json = dict[str, Any]

# Parts that measure the engine alone, around the service; what it reaches is of their mean.
LIMITS: Final = ("limit", "limit-after")


def markdown(result: Json) -> str:
    """Return the tables of a bench's result, of those parts that were measured."""
    head = f"{result['model']}, {result['engine']}; {sentence(result['machine'])}"
    parts = [write(result) for name, write in _PARTS.items() if name in result]
    return "\n\n".join([head, *parts]) + "\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _limit(result: Json) -> str:
    return _variants(result["limit"])


def _limit_after(result: Json) -> str:
    return f"After the service, as before it: {_variants(result[LIMITS[1]])}"


def _variants(limit: Json) -> str:
    speeds = {(v["processes"], v["threads"], v["batch"]): v["texts_s"] for v in limit["variants"]}
    batches = sorted({batch for _, _, batch in speeds})
    rows = [
        [
            f"{processes} x {threads}",
            *(f"{speeds[processes, threads, batch]:.0f}" for batch in batches),
        ]
        for processes, threads in sorted({(p, t) for p, t, _ in speeds})
    ]
    head = ["processes x threads", *(f"batch {batch}" for batch in batches)]
    return (
        f"Engine alone, texts a second (limit: **{limit['texts_s']:.0f}**; one text alone on one "
        f"thread: {limit['one_text_ms']:.1f} ms)\n\n{table(head, rows)}"
    )


def _service(result: Json) -> str:
    workloads = result["service"]["workloads"]
    limits = [result[part]["texts_s"] for part in LIMITS if part in result]
    limit = mean(limits) if limits else None
    rows = [
        [
            name,
            f"{WORKLOADS[name].about}, {WORKLOADS[name].connections} connections",
            f"{figures['requests_s']:.0f}",
            f"{figures['texts_s']:.0f}",
            f"{figures['p50_ms']:.1f}",
            f"{figures['p95_ms']:.1f}",
            f"{figures['p99_ms']:.1f}",
            f"{figures['texts_s'] / limit:.2f}" if limit and name.startswith("U") else "",
            f"{figures['spread']:.0%}",
            f"{figures['others_cpu']:.2f}",
        ]
        for name, figures in workloads.items()
    ]
    head = ["", "workload", "req/s", "texts/s", "p50 ms", "p95", "p99", "of limit", "spread"]
    roles = sorted({role for figures in workloads.values() for role in figures["cpu_ms"]})
    costs = [
        [name, *(f"{figures['cpu_ms'].get(role, 0.0):.2f}" for role in roles)]
        for name, figures in workloads.items()
    ]
    memory = ", ".join(
        f"{replica['role']} {replica['rss_mib']} MiB ({replica['unique_mib']} its own)"
        for replica in result["service"]["memory"]
    )
    return "\n\n".join(
        [
            f"Service, medians of {result['repeats']} x {result['seconds']:.0f} s",
            table([*head, "others' CPUs"], rows),
            "CPU milliseconds a request, by process",
            table(["", *roles], costs),
            f"Resident memory after the load: {memory}.",
        ]
    )


def _cold(result: Json) -> str:
    return f"A classifier replica's first answer after {result['cold']['seconds']:.1f} s."


def _mixed(result: Json) -> str:
    mixed = result["mixed"]
    return (
        f"{len(mixed['lengths'])} texts of {min(mixed['lengths'])} to {max(mixed['lengths'])} "
        f"tokens together: {mixed['together_s']:.2f} s, "
        f"{mixed['together_s'] / mixed['alone_s']:.2f} of the sum of each alone."
    )


def _ceiling(result: Json) -> str:
    ceiling = result["ceiling"]
    return (
        f"The load generator against a server that does nothing: {ceiling['requests_s']:.0f} req/s "
        f"of one text, on {ceiling['generator_cpu']:.2f} CPU."
    )


_PARTS: Final[dict[str, Callable[[Json], str]]] = {
    "limit": _limit,
    "service": _service,
    "limit-after": _limit_after,
    "cold": _cold,
    "mixed": _mixed,
    "ceiling": _ceiling,
}
