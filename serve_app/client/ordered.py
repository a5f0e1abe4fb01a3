"""Calls side by side, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def in_order(
    executor: Executor,
    function: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    ahead: int,
) -> Iterator[Result]:
    """Call a function for each argument, and yield the results in order.

    Unlike `Executor.map`, which gained `buffersize` in Python 3.14, this takes arguments only
    as fast as results are taken. Whoever stops early cancels what has not begun.

    Args:
        executor: Runs the calls.
        function: What to call.
        arguments: Any number, even without end.
        ahead: Most calls whose results nobody has taken.
    """
    calls: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            if len(calls) >= ahead:
                yield calls.popleft().result()
            calls.append(executor.submit(function, argument))
        while calls:
            yield calls.popleft().result()
    finally:
        for call in calls:
            call.cancel()
