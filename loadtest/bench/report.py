"""Figures as Markdown."""

from typing import Any

from loadtest.bench.workloads import WORKLOADS

Json = dict[str, Any]


def markdown(result: Json) -> str:
    """Return the tables of a bench's result."""
    parts = [_facts(result)]
    if "engine_limit" in result:
        parts.append(_limit(result))
    if "workloads" in result:
        parts += [_workloads(result), _cpu(result)]
    parts.append(_rest(result))
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(result: Json) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return (
        f"{result['model']}, {result['engine']}; {machine['cores']} cores of {machine['cpu']} "
        f"({', '.join(machine['flags'])}; governor: {machine['governor']}), "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; busy before the start: "
        f"{machine['busy_before']:.0%}.\n"
        f"Python {machine['python']}, {versions}; commit {machine['commit']}."
    )


def _limit(result: Json) -> str:
    limit = result["engine_limit"]
    batches = sorted({variant["batch"] for variant in limit["variants"]})
    arrangements = sorted({(v["processes"], v["threads"]) for v in limit["variants"]})
    speeds = {(v["processes"], v["threads"], v["batch"]): v["texts_s"] for v in limit["variants"]}
    rows = [
        [f"{processes} x {threads}"]
        + [f"{speeds[processes, threads, batch]:.0f}" for batch in batches]
        for processes, threads in arrangements
    ]
    head = ["processes x threads", *(f"batch {batch}" for batch in batches)]
    return (
        f"Engine alone, texts a second (limit: **{limit['texts_s']:.0f}**; one text alone on one "
        f"thread: {limit['one_text_ms']:.1f} ms)\n\n" + table(head, rows)
    )


def _workloads(result: Json) -> str:
    limit = result.get("engine_limit", {}).get("texts_s")
    rows = []
    for name, figures in result["workloads"].items():
        workload = WORKLOADS[name]
        uncached = name.startswith("U")
        rows.append(
            [
                name,
                f"{workload.about}, {workload.connections} connections",
                f"{figures['requests_s']:.0f}",
                f"{figures['texts_s']:.0f}",
                f"{figures['p50_ms']:.1f}",
                f"{figures['p95_ms']:.1f}",
                f"{figures['p99_ms']:.1f}",
                f"{figures['texts_s'] / limit:.2f}" if uncached and limit else "",
                f"{figures['spread']:.0%}",
                f"{figures['others_cpu']:.2f}",
            ]
        )
    head = ["", "workload", "req/s", "texts/s", "p50 ms", "p95", "p99", "of limit", "spread"]
    head.append("others' CPUs")
    return f"Service, medians of {result['repeats']} x {result['seconds']:.0f} s\n\n" + table(
        head, rows
    )


def _cpu(result: Json) -> str:
    roles = sorted({role for f in result["workloads"].values() for role in f["cpu_ms"]})
    rows = [
        [name, *(f"{figures['cpu_ms'].get(role, 0.0):.2f}" for role in roles)]
        for name, figures in result["workloads"].items()
    ]
    return "CPU milliseconds a request, by process\n\n" + table(["", *roles], rows)


def _rest(result: Json) -> str:
    lines = []
    if "memory" in result:
        replicas = [
            f"{replica['role']} {replica['rss_mib']} MiB ({replica['unique_mib']} its own)"
            for replica in result["memory"]
        ]
        lines.append(f"- Resident memory after the load: {', '.join(replicas)}")
    if "cold_start_s" in result:
        lines.append(f"- A classifier replica's first answer: {result['cold_start_s']:.1f} s")
    if "mixed_lengths" in result:
        mixed = result["mixed_lengths"]
        lines.append(
            f"- {len(mixed['lengths'])} texts of {min(mixed['lengths'])} to "
            f"{max(mixed['lengths'])} tokens together: {mixed['together_s']:.2f} s, "
            f"{mixed['together_s'] / mixed['alone_s']:.2f} x the sum of each alone"
        )
    if "generator_ceiling" in result:
        ceiling = result["generator_ceiling"]
        lines.append(
            f"- The load generator's own ceiling, against a server that does nothing: "
            f"{ceiling['requests_s']:.0f} req/s of one text ({ceiling['generator_cpu']:.2f} CPU)"
        )
    return "\n".join(lines)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
