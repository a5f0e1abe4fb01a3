"""What the stages of a request know of metrics."""

from collections.abc import Callable
from typing import Protocol

from serve_app.metrics.catalogue import Metric


class Meters(Protocol):
    """Takes the values of the metrics of one replica."""

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a counter.

        Args:
            metric: A counter.
            amount: What to add, not negative.
            labels: Values of the metric's labels, in their order.
        """

    def observe(self, metric: Metric, value: float) -> None:
        """Add a value to a histogram without labels."""

    def follow(self, metric: Metric, read: Callable[[], float | None], *labels: str) -> None:
        """Read a gauge's value, or a counter's total, from now on.

        Args:
            metric: A gauge or a counter.
            read: Returns the value, or None where there is none; called about once a second,
                from another thread.
            labels: Values of the metric's labels, in their order.
        """
