"""The table of metrics in docs/metrics.md: `python -m monitoring.metrics_table`."""

from collections.abc import Sequence
from typing import Final

from serve_app.telemetry import metrics
from serve_app.telemetry.metrics import Metric

METRICS: Final = [value for value in vars(metrics).values() if isinstance(value, Metric)]
"""Every metric of the service, in the order of its module: the gateway's, then the classifier's."""


def table() -> str:
    """Return the metrics as one Markdown table for each deployment."""
    first = METRICS.index(metrics.TOKENIZE_SECONDS)
    return f"{_table('Gateway', METRICS[:first])}\n{_table('Classifier', METRICS[first:])}"


def exported_name(metric: Metric) -> str:
    """Return its name in Prometheus: Ray adds `ray_`, and to counters `_total`."""
    return f"ray_{metric.name}{'_total' if metric.kind == 'counter' else ''}"


def _table(deployment: str, shown: Sequence[Metric]) -> str:
    rows = "\n".join(map(_row, shown))
    return f"### {deployment}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n{rows}\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{exported_name(metric)}` | {metric.kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    print(table(), end="")
