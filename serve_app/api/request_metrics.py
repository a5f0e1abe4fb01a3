"""Metrics of requests for predictions."""

from serve_app.api.report import Report
from serve_app.metrics.catalogue import (
    CACHE_SECONDS,
    REFUSED_TEXTS,
    REQUEST_SECONDS,
    REQUESTS,
    TRUNCATED_TEXTS,
)
from serve_app.metrics.meters import Meters


class RequestMetrics:
    """Observes requests.

    Args:
        meters: Take the values.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def __call__(self, report: Report) -> None:
        """Count one request that is over."""
        meters = self._meters
        meters.count(REQUESTS, 1, str(report.status), report.outcome)
        if report.outcome == "ok":
            meters.observe(REQUEST_SECONDS, report.seconds)
            if report.truncated:
                meters.count(TRUNCATED_TEXTS, report.truncated)
        elif report.texts:
            meters.count(REFUSED_TEXTS, report.texts, report.outcome)
        if report.times:
            meters.observe(CACHE_SECONDS, report.times.cache / 1000)
