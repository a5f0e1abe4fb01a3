"""Writes the report on a run, or on two side by side."""

import base64
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined

from loadtest.report.charts import PANELS, Panel, save_overview, save_panel
from loadtest.report.figures import rows
from loadtest.report.run import Run, read_run
from loadtest.results import Client
from serve_app.errors import StartupError

MOST_RUNS: Final = 2
TEMPLATE: Final = "page.html.j2"


def report(directories: Sequence[Path], output: Path) -> Path:
    """Write an HTML page that needs no other file, and its pictures as PNG files.

    Args:
        directories: Directories of one run, or of two to compare; the first is the base.
        output: Directory to write to.

    Returns:
        The page.

    Raises:
        RunUnreadable: A run is missing, cut off, empty or of another form.
        StartupError: There are too many runs, or the directory cannot be written to.
    """
    if not 1 <= len(directories) <= MOST_RUNS:
        raise StartupError("a report is on one run, or on two to compare")
    runs = [read_run(directory) for directory in directories]
    name = "report" if len(runs) == 1 else "comparison"
    try:
        output.mkdir(parents=True, exist_ok=True)
        pictures = _draw(runs, output, name)
        page = output / f"{name}.html"
        page.write_text(_page(runs, pictures))
    except OSError as error:
        raise StartupError(f"cannot write to {output}: {error.strerror}") from None
    return page


def title(run: Run) -> str:
    """Return what a run was, in one line."""
    began = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.summary.started_s))
    return f"{run.summary.scenario}, {run.summary.duration_s:.0f} s, {began} UTC"


def gist(run: Run) -> str:
    """Return how a run went, in one line."""
    requests, latency = run.summary.requests, run.summary.latency_ms.answered
    said = [
        f"{requests.count:,} requests",
        f"{requests.per_second:.1f} /s",
        f"{requests.failed:,} failed",
        f"{requests.refused:,} refused",
        f"{requests.dropped:,} not sent",
    ]
    if latency:
        said += [f"answers in p50 {latency.p50:.1f} ms", f"p99 {latency.p99:.1f} ms"]
    if (hit_ratio := run.summary.texts.hit_ratio) is not None:
        said += [f"{100 * hit_ratio:.1f} % of the texts from the cache"]
    return ", ".join(said)


def machine(client: Client | None) -> str:
    """Return what sent the load, and whether the service was there too."""
    if client is None:
        return "unknown: k6 was started by hand"
    hardware = f"{client.cpu}, {client.cores} cores, {client.memory_gib:g} GiB"
    who = "k6 and service" if client.serves else "k6"
    return f"{who} on {hardware}, {client.system}"


def versions(run: Run) -> str:
    """Return the versions of all that took part."""
    known = dict(run.summary.service.versions)
    if run.summary.client:
        known["k6"] = run.summary.client.k6
    return ", ".join(f"{name} {version}" for name, version in sorted(known.items()))


def _draw(runs: Sequence[Run], output: Path, name: str) -> list[tuple[Panel, str]]:
    pictures = []
    for panel in PANELS:
        path = output / f"{name}-{panel.name}.png"
        save_panel(panel, runs, path)
        pictures.append((panel, base64.b64encode(path.read_bytes()).decode()))
    if len(runs) == 1:
        heading = f"{title(runs[0])}\n{gist(runs[0])}"
        save_overview(runs[0], heading, output / f"{name}.png")
    return pictures


def _page(runs: Sequence[Run], pictures: Sequence[tuple[Panel, str]]) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"machine": machine, "versions": versions, "title": title, "gist": gist}
    template = environment.from_string(files("loadtest.report").joinpath(TEMPLATE).read_text())
    return template.render(runs=runs, rows=rows(runs), pictures=pictures)
