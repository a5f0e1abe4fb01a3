import asyncio

from serve_app.telemetry.metrics import EVENT_LOOP_TASKS, follow_tasks
from tests.unit.metrics.meters import RecordedMeters


async def test_tasks_are_counted_from_another_thread_as_they_come_and_go() -> None:
    meters = RecordedMeters()
    follow_tasks(meters)

    async def count() -> float | None:
        return await asyncio.to_thread(meters.read, EVENT_LOOP_TASKS.name)

    before = await count()
    assert before is not None
    forgotten = [asyncio.create_task(asyncio.Event().wait()) for _ in range(20)]
    assert await count() == before + 20
    for task in forgotten:
        task.cancel()
    await asyncio.wait(forgotten)
    assert await count() == before
