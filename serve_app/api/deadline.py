"""One bound on the whole of a request, the reading of its body included."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from serve_app.errors import DeadlineExceeded, InvalidRequest

DEADLINE_HEADER: Final = "X-Deadline-Ms"
MAX_DIGITS: Final = 9


def allowed_s(asked_ms: str | None, longest_s: float) -> float:
    """Return how many seconds a request may take.

    Args:
        asked_ms: The client's `X-Deadline-Ms`, if any.
        longest_s: What it gets at most, and where it does not ask.

    Raises:
        InvalidRequest: It asks for no positive whole number of milliseconds.
    """
    if asked_ms is None:
        return longest_s
    digits = asked_ms.lstrip("0")[:MAX_DIGITS]
    if not (digits and asked_ms.isascii() and asked_ms.isdigit()):
        msg = "A positive whole number of milliseconds is accepted"
        place = ["header", DEADLINE_HEADER.lower()]
        raise InvalidRequest(
            f"{DEADLINE_HEADER} is not a number of milliseconds.",
            [{"loc": [*place], "msg": msg, "type": "int_parsing"}],
        )
    return min(int(digits) / 1000, longest_s)


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
