"""Work that a replica does beside its requests."""

import logging
import threading
import time
from collections.abc import Callable
from weakref import WeakMethod

logger = logging.getLogger("serve_app.background")


def every(seconds: float, method: Callable[[], None]) -> None:
    """Call a bound method again and again in a thread, as long as its object lives.

    A thread, because a replica's event loop belongs to requests, and because neither waits for
    the other when one is held up.

    Args:
        seconds: Time between two calls.
        method: A bound method; the thread keeps no reference to its object.
    """
    threading.Thread(
        target=_repeat,
        args=(seconds, WeakMethod(method)),
        name=f"every {seconds:g} s",
        daemon=True,
    ).start()


def _repeat(seconds: float, method: "WeakMethod[Callable[[], None]]") -> None:
    while True:
        time.sleep(seconds)
        bound = method()
        if bound is None:
            return
        try:
            bound()
        except Exception as error:
            # What is repeated goes on: a replica that serves must not fall silent for good.
            logger.error("%s failed: %s", bound.__qualname__, type(error).__name__)
        del bound
