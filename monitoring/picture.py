"""The overview dashboard as a picture, drawn from its JSON and a real Prometheus.

`python -m monitoring.picture http://127.0.0.1:9090 overview.png`, for where there is no Grafana.
"""

import re
import sys
import time
from datetime import datetime
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import matplotlib as mpl
import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from monitoring.expressions import DASHBOARDS, panels, resolved
from monitoring.prometheus import Client

POINTS: Final = 120
COLUMNS: Final = 3
_SCALES: Final = {
    "s": (1.0, "s"),
    "ms": (1e-3, "s"),
    "percentunit": (100.0, "%"),
    "bytes": (2.0**-20, "MiB"),
}
_UNITS: Final = {"reqps": "/s", "cps": "/s", "short": ""}


def draw(prometheus: Client, seconds: float, path: Path) -> Figure:
    """Draw the overview's panels; those without data say so."""
    mpl.use("Agg")
    shown = panels(DASHBOARDS[0])
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(5.2 * COLUMNS, 3.1 * rows))
    figure.subplots_adjust(left=0.05, right=0.99, top=0.97, bottom=0.06, hspace=0.6, wspace=0.22)
    end = time.time()
    for index, panel in enumerate(shown):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        _draw_panel(axes, panel, prometheus, end - seconds, end)
    figure.savefig(path, dpi=90)
    return figure


def _draw_panel(
    axes: Axes, panel: dict[str, Any], prometheus: Client, start: float, end: float
) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    factor, name = _SCALES.get(unit, (1.0, _UNITS.get(unit, unit)))
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for target in panel["targets"]:
        expression = resolved(target["expr"])
        for series in prometheus.query_range(expression, start, end, (end - start) / POINTS):
            values = [(at, float(value) * factor) for at, value in series["values"]]
            times = [_date(at) for at, _ in values]
            lines[_legend(target["legendFormat"], series["metric"])] = (
                times,
                [value for _, value in values],
            )
    for legend, (times, heights) in sorted(lines.items()):
        axes.plot(times, heights, label=legend, linewidth=1.2)
    axes.set_title(panel["title"], fontsize=10, loc="left")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} {name}".strip()))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    if lines:
        axes.legend(
            fontsize=7, ncols=3, frameon=False, loc="upper left", bbox_to_anchor=(-0.05, -0.1)
        )
    else:
        note = fill(panel["fieldConfig"]["defaults"]["noValue"], 40)
        axes.text(0.5, 0.5, note, transform=axes.transAxes, ha="center", va="center", fontsize=9)


def _date(seconds: float) -> float:
    number: float = mdates.date2num(datetime.fromtimestamp(seconds))  # type: ignore[no-untyped-call]
    return number


def _legend(form: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)


def main() -> None:
    """Draw the last minutes of a Prometheus that runs."""
    url, path, *minutes = sys.argv[1:]
    draw(Client(url), 60 * float(minutes[0] if minutes else 5), Path(path))


if __name__ == "__main__":
    main()
