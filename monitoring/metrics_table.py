"""The table of metrics in docs/metrics.md: `python -m monitoring.metrics_table`."""

from collections.abc import Sequence

from serve_app.telemetry.metrics import CLASSIFIER_METRICS, GATEWAY_METRICS, Metric


def table() -> str:
    """Return the metrics as one Markdown table for each deployment."""
    return f"{_table('Gateway', GATEWAY_METRICS)}\n{_table('Classifier', CLASSIFIER_METRICS)}"


def _table(deployment: str, metrics: Sequence[Metric]) -> str:
    rows = "\n".join(map(_row, metrics))
    return f"### {deployment}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n{rows}\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.exported_name}` | {metric.kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    print(table(), end="")
