import gc
import threading
import weakref

from serve_app.ray_serve.metrics import run_periodically


class Clockwork:
    def __init__(self) -> None:
        self.ticked = threading.Event()
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == 2:
            self.ticked.set()


def test_a_method_is_called_again_and_again_as_long_as_its_object_lives() -> None:
    clockwork = Clockwork()
    before = set(threading.enumerate())
    run_periodically(0.001, clockwork.tick)
    (thread,) = set(threading.enumerate()) - before
    assert clockwork.ticked.wait(5)
    gone = weakref.ref(clockwork)
    del clockwork
    gc.collect()
    thread.join(5)
    assert gone() is None
    assert not thread.is_alive()
