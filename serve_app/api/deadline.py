"""One bound on the whole of a request, the reading of its body included."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serve_app.errors import DeadlineExceeded


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[Callable[[], float]]:
    """Cancel the block when it takes longer than this.

    Args:
        seconds: Most time that the block may take.

    Yields:
        A function that returns the seconds left, never fewer than zero.

    Raises:
        DeadlineExceeded: The block was cancelled. A `TimeoutError` of the block's own passes
            unchanged.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    timer = asyncio.timeout_at(end)
    try:
        async with timer:
            yield lambda: max(0.0, end - loop.time())
    except TimeoutError:
        if not timer.expired():
            raise
        raise DeadlineExceeded(f"There was no answer within {seconds:g} seconds.") from None
