"""How many tasks a replica has: what is forgotten without an end shows as their growth."""

import asyncio

from serve_app.metrics.catalogue import EVENT_LOOP_TASKS
from serve_app.metrics.meters import Meters


def follow_tasks(meters: Meters) -> None:
    """Let the metrics follow from now on how many tasks the running event loop has."""
    loop = asyncio.get_running_loop()
    meters.follow(EVENT_LOOP_TASKS, lambda: len(asyncio.all_tasks(loop)))
