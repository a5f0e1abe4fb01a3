"""Pictures of a run, or of two side by side."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from loadtest.observer import LOAD_GENERATOR
from loadtest.report.figures import SCALED
from loadtest.report.run import Run
from loadtest.report.series import MAX_STEPS

PANEL_INCHES: Final = (6.4, 2.9)
TICKS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
MOST_TICKS: Final = 8

MUTED: Final = "#7b8794"
ACCENT: Final = "#1769aa"
PERCENTILES: Final = {50: "#4f9bd9", 95: "#1769aa", 99: "#0b2f55"}
# By Okabe and Ito: told apart whatever colours one sees.
ROLES: Final = {
    "classifier": "#0072b2",
    "gateway": "#56b4e9",
    "proxy": "#009e73",
    "redis": "#d55e00",
    "controller": "#cc79a7",
    "ray": "#b4bcc5",
    LOAD_GENERATOR: "#e69f00",
}
ERRORS: Final = ("#d55e00", "#e69f00", "#cc79a7", "#7b2d26", "#5a4a78")
STYLE: Final = Path(__file__).with_name("charts.mplstyle")


class Panel(NamedTuple):
    """A picture of one aspect of a run.

    Attributes:
        name: What its file is called.
        title: What it shows, and in which unit.
        draw: Draws it.
        wide: Whether it takes two places beside the others of a run.
    """

    name: str
    title: str
    draw: Callable[[Axes, Run], None]
    wide: bool = False


def save_panel(panel: Panel, runs: Sequence[Run], path: Path) -> None:
    """Draw a panel of each run, side by side on the same scale, into a PNG file."""
    with style.context(STYLE):
        width, height = PANEL_INCHES
        places = 2 if panel.wide else len(runs)
        figure = Figure((width * places, height))
        axes = figure.subplots(1, len(runs), sharey=True, squeeze=False)
        for each, run in zip(axes[0], runs, strict=True):
            _draw(panel, each, run)
            if len(runs) > 1:
                each.set_title(f"{panel.title}: {run.name}")
                each.tick_params(left=True, labelleft=True)
        figure.savefig(path)


def save_overview(run: Run, title: str, path: Path) -> None:
    """Draw all panels of a run into one PNG file, below a title of any number of lines."""
    with style.context(STYLE):
        width, height = PANEL_INCHES
        rows = math.ceil(sum(2 if panel.wide else 1 for panel in PANELS) / 2)
        figure = Figure((width * 1.7, height * 0.85 * rows))
        figure.suptitle(title, x=0.01, ha="left", linespacing=1.5)
        grid = figure.add_gridspec(rows, 2)
        place = 0
        for panel in PANELS:
            row, column = divmod(place, 2)
            end = column + 2 if panel.wide else column + 1
            _draw(panel, figure.add_subplot(grid[row, column:end]), run)
            place += end - column
        figure.savefig(path)


def _draw(panel: Panel, axes: Axes, run: Run) -> None:
    axes.set_title(panel.title)
    panel.draw(axes, run)
    axes.set_xlim(0, run.summary.duration_s)
    tick_s = next((s for s in TICKS_S if run.summary.duration_s <= s * MOST_TICKS), TICKS_S[-1])
    axes.xaxis.set_major_locator(MultipleLocator(tick_s))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # Outside, so that it hides nothing; from the top down, as areas lie on each other.
        axes.legend(
            handles[::-1], labels[::-1],
            loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.2,
        )  # fmt: skip


def _latency(axes: Axes, run: Run) -> None:
    for percent, colour in PERCENTILES.items():
        values = run.series.percentile(percent)
        axes.plot(run.series.seconds, values, color=colour, label=f"p{percent}")
    axes.axhline(run.summary.p99_limit_ms, color=ERRORS[0], linestyle="--", label="limit of p99")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(which="minor", visible=False)


def _throughput(axes: Axes, run: Run) -> None:
    series = run.series
    rate = series.requests / series.step_s
    axes.fill_between(series.seconds, rate, color=ACCENT, alpha=0.15, linewidth=0)
    (answered,) = axes.plot(series.seconds, rate, color=ACCENT)
    if series.dropped.any():
        wanted = rate + series.dropped / series.step_s
        axes.plot(series.seconds, wanted, color=ERRORS[0], linestyle="--", label="wanted")
        answered.set_label("answered")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _errors(axes: Axes, run: Run) -> None:
    series = run.series
    below = np.zeros(len(series.seconds))
    for n, (status, counts) in enumerate(sorted(series.errors.items())):
        label = "no answer" if status == "0" else status
        rate = counts / series.step_s
        colour = ERRORS[n % len(ERRORS)]
        axes.bar(series.seconds, rate, series.step_s, below, color=colour, label=label)
        below += rate
    if not series.errors:
        _note(axes, "none")
    axes.set_ylim(bottom=0)


def _hit_ratio(axes: Axes, run: Run) -> None:
    hits, all_texts = run.series.hits, run.series.hits + run.series.misses
    share = np.divide(100 * hits, all_texts, np.full(len(hits), np.nan), where=all_texts > 0)
    axes.plot(run.series.seconds, share, color=ROLES["proxy"])
    axes.set_ylim(0, 102)


def _replicas(axes: Axes, run: Run) -> None:
    if not run.roles:
        _note(axes, "not observed")
        return
    for role in SCALED:
        # The thin line stays visible on the wide one where their numbers are equal.
        width = 3.5 if role == SCALED[0] else 1.5
        axes.step(
            _thin(run.observed), _thin(run.replicas(role)), where="post",
            color=ROLES[role], linewidth=width, label=role,
        )  # fmt: skip
    axes.set_ylim(0, max(run.replicas(role).max() for role in SCALED) + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _memory(axes: Axes, run: Run) -> None:
    _stack(axes, run, run.roles, run.memory_mib)


def _processor(axes: Axes, run: Run) -> None:
    _stack(axes, run, [*run.roles, LOAD_GENERATOR] if run.roles else [], run.cores)


def _stack(
    axes: Axes,
    run: Run,
    roles: Sequence[str],
    values: Callable[[str], NDArray[np.float64]],
) -> None:
    if not roles:
        _note(axes, "not observed")
        return
    axes.stackplot(
        _thin(run.observed),
        [_thin(values(role)) for role in roles],
        labels=roles,
        colors=[ROLES.get(role, MUTED) for role in roles],
        linewidth=0,
    )
    axes.set_ylim(bottom=0)


def _thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of so many neighbours each that at most MAX_STEPS are left."""
    width = math.ceil(len(values) / MAX_STEPS)
    return np.array([values[at : at + width].mean() for at in range(0, len(values), width)])


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.tick_params(left=False, labelleft=False)


def _clock(seconds: float, _: int) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


PANELS: Final = (
    Panel("latency", "Latency of answers, ms", _latency, wide=True),
    Panel("throughput", "Requests a second", _throughput),
    Panel("errors", "Errors a second, by status", _errors),
    Panel("hit-ratio", "Texts answered from the cache, %", _hit_ratio),
    Panel("replicas", "Replicas", _replicas),
    Panel("memory", "Resident memory, MiB", _memory),
    Panel("processor", "Processor, cores", _processor),
)
