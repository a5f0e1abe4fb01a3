import asyncio
import re
from pathlib import Path

import pytest

from monitoring.metrics_table import METRICS, table
from serve_app.telemetry.metrics import EVENT_LOOP_TASKS, Metric, follow_tasks
from tests.unit.telemetry.recorded_metrics import RecordedMetrics

ROOT = Path(__file__).parents[3]


def test_every_metric_has_a_name_of_its_own() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_keep_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"sentiment(_[a-z]+)+", metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert not {"deployment", "replica", "application", "route"} & set(metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_histograms_alone_have_buckets_in_rising_order(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_the_document_shows_the_catalogue() -> None:
    document = (ROOT / "docs" / "metrics.md").read_text()
    assert table() in document, "python -m monitoring.metrics_table prints the new table"


async def test_tasks_are_counted_from_another_thread_as_they_come_and_go() -> None:
    metrics = RecordedMetrics()
    follow_tasks(metrics)

    async def count() -> float | None:
        return await asyncio.to_thread(metrics.read, EVENT_LOOP_TASKS.name)

    before = await count()
    assert before is not None
    forgotten = [asyncio.create_task(asyncio.Event().wait()) for _ in range(20)]
    assert await count() == before + 20
    for task in forgotten:
        task.cancel()
    await asyncio.wait(forgotten)
    assert await count() == before
