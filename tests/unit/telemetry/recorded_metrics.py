"""A MetricSink that remembers the values, in place of Ray's."""

from collections.abc import Callable

from serve_app.telemetry.metrics import Metric


class RecordedMetrics:
    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], float] = {}
        self.observed: dict[str, list[float]] = {}
        self._followed: dict[tuple[str, ...], Callable[[], float | None]] = {}

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        assert metric.kind == "counter"
        assert len(labels) == len(metric.labels)
        key = (metric.name, *labels)
        self.counts[key] = self.counts.get(key, 0.0) + amount

    def observe(self, metric: Metric, value: float) -> None:
        assert metric.kind == "histogram"
        self.observed.setdefault(metric.name, []).append(value)

    def follow(self, metric: Metric, read: Callable[[], float | None], *labels: str) -> None:
        assert metric.kind != "histogram"
        assert len(labels) == len(metric.labels)
        self._followed[metric.name, *labels] = read

    def read(self, name: str, *labels: str) -> float | None:
        return self._followed[name, *labels]()

    def followed(self) -> set[tuple[str, ...]]:
        return set(self._followed)
