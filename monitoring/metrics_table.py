"""The table of metrics in docs/metrics.md: `python -m monitoring.metrics_table`."""

from itertools import groupby

from serve_app.telemetry.metrics import METRICS, Metric


def table() -> str:
    """Return the metrics as one Markdown table for each deployment."""
    parts = []
    for deployment, metrics in groupby(METRICS, lambda metric: metric.deployment):
        rows = "\n".join(map(_row, metrics))
        parts.append(
            f"### {deployment}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.exported_name}` | {metric.kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    print(table(), end="")
