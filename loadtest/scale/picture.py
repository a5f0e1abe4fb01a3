"""The picture that goes into the README."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from loadtest.generator import BUSY
from loadtest.scale.measure import Run

mpl.use("Agg")

WINDOW_S: Final = 3.0
# Colour-blind safe, after Okabe and Ito.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"


class Caption(NamedTuple):
    """What a picture says of a run.

    Attributes:
        replicas: What the replicas are called.
        texts: Texts in a request.
        tokens: Tokens in a text.
        target_wait_s: The policy's target, where the replicas have a queue.
    """

    replicas: str
    texts: int
    tokens: int
    target_wait_s: float | None


def draw(run: Run, caption: Caption, path: Path) -> None:
    """Draw a run: load, replicas, queue and time to the answer over time."""
    replicas, texts, tokens, target_wait_s = caption
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True, layout="constrained")
    times = [moment.time - run.started for moment in run.moments]
    edges = np.cumsum([0.0, *(each.seconds for each in run.segments)])
    offered = [each.rate * texts for each in run.segments]
    axes[0].stairs(offered, edges, color=BLUE, baseline=None, linewidth=2)
    axes[0].set_ylabel("offered texts/s")
    axes[1].step(times, [m.wanted for m in run.moments], ORANGE, where="post", label="wanted")
    axes[1].step(times, [m.running for m in run.moments], GREEN, where="post", label="running")
    axes[1].set_ylabel(replicas)
    axes[1].legend(loc="upper right")
    waiting = np.array(run.waiting(run.moments)) * texts * tokens
    axes[2].plot(times, waiting, color=RED)
    axes[2].set_ylabel("tokens that wait")
    _latency(axes[3], run)
    if target_wait_s:
        axes[3].axhline(target_wait_s, color="grey", linestyle=":", label="target wait")
    axes[3].set_ylabel("answer, s")
    axes[3].set_xlabel("seconds")
    axes[3].legend(loc="upper right")
    for axis in axes:
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    counts = run.counts
    refused = counts.refused.get(str(BUSY), 0)
    figure.suptitle(
        f"{counts.sent} requests sent, {counts.right} answered, {refused} refused (429), "
        f"{counts.sent - counts.right - refused} failed"
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _latency(axis: Any, run: Run) -> None:
    right = [record for record in run.records if record.kind == "right"]
    sent = np.array([record.sent for record in right]) - run.started
    seconds = np.array([record.seconds for record in right])
    windows = np.arange(0, sent.max(), WINDOW_S)
    inside = [seconds[(sent >= begin) & (sent < begin + WINDOW_S)] for begin in windows]
    seen = [(begin, values) for begin, values in zip(windows, inside, strict=True) if values.size]
    middle = [begin + WINDOW_S / 2 for begin, _ in seen]
    for percent, colour in ((50, BLUE), (99, RED)):
        drawn = [np.percentile(values, percent) for _, values in seen]
        axis.plot(middle, drawn, color=colour, label=f"p{percent} of {WINDOW_S:g} s")
