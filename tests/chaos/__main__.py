"""The faults of a production network, one after the other: `make chaos`, `python -m tests.chaos`.

Each case deploys the service, harms it under load and counts what became of every request. Exits
non-zero when a promise is broken.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from loadtest.program import ONE_MACHINE, run_program
from serve_app.console import say
from tests.chaos.cases import CASES, LONG

TITLE: Final = "| Fault | Sent | Right | Refused clearly | Left | Broken | Wrong | Kept |"


def main(
    cases: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(CASES)}; all but soak by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of chaos.json and chaos.md.")] = Path(
        "results/chaos"
    ),
) -> None:
    """Harm the service in every way that is promised to be harmless."""
    if unknown := set(cases or ()) - set(CASES):
        raise typer.BadParameter(f"no case is called {', '.join(sorted(unknown))}")
    out.mkdir(parents=True, exist_ok=True)
    chosen = cases or [name for name in CASES if name not in LONG]
    rows = [row for name in chosen for row in _run(name)]
    (out / "chaos.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "chaos.md").write_text(table(rows))
    print(table(rows))
    broken = [verdict for row in rows for verdict in row["verdicts"] if not verdict["holds"]]
    for verdict in broken:
        print(f"BROKEN {verdict['claim']}: {verdict['figure']}")
    sys.exit(bool(broken))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    lines = [TITLE, "|---|" + "---|" * (TITLE.count("|") - 2)]
    for row in rows:
        seen = row["counts"]
        refused = ", ".join(f"{count} x {status}" for status, count in seen["refused"].items())
        kept = sum(verdict["holds"] for verdict in row["verdicts"])
        cells = [row["fault"], seen["sent"], seen["right"], refused or 0, seen["left"]]
        cells += [seen["broken"], sum(seen["wrong"].values()), f"{kept} of {len(row['verdicts'])}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _run(name: str) -> list[dict[str, Any]]:
    """Run a case with a Ray of its own, and leave no process of it behind."""
    begun, case = time.monotonic(), CASES[name]
    say(f"\n== {name}")
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory, "rows.json")
        run_program(
            "tests.chaos.cases",
            name,
            str(written),
            config=case.config,
            variables=ONE_MACHINE | case.environment,
            limit_s=case.limit_s,
        )
        say(f"{name} took {time.monotonic() - begun:.0f} s")
        if written.exists():
            rows: list[dict[str, Any]] = json.loads(written.read_text())
            return rows
    lost = {"claim": "the case runs to its end", "figure": "it did not", "holds": False}
    none = {"sent": 0, "right": 0, "refused": {}, "left": 0, "broken": 0, "wrong": {}}
    return [{"fault": name, "counts": none, "verdicts": [lost]}]


if __name__ == "__main__":
    typer.run(main)
