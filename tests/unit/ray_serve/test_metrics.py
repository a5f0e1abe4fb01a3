import gc
import threading
import weakref
from typing import Any, ClassVar

import pytest

from serve_app.ray_serve import metrics as ray
from serve_app.ray_serve.metrics import RayMetricSink, run_periodically
from serve_app.telemetry.metrics import CACHE_UP, INFERENCE_SECONDS, MODEL_INFO, TEXTS, TOKENS

HandedOver = list[tuple[str, float, dict[str, str]]]


class Instrument:
    """Remembers what reaches one of Ray's metrics, which hand it to a process of Ray's."""

    values: ClassVar[HandedOver]

    def __init__(self, name: str, **_: Any) -> None:
        self._name = name

    def record(self, value: float, tags: dict[str, str] | None = None) -> None:
        self.values.append((self._name, value, tags or {}))

    inc = set = observe = record


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> HandedOver:
    Instrument.values = []
    monkeypatch.setattr(
        ray, "_CLASSES", dict.fromkeys(("counter", "gauge", "histogram"), Instrument)
    )
    return Instrument.values


def test_counters_are_handed_over_as_increments(handed_over: HandedOver) -> None:
    sink = RayMetricSink()
    sink.count(TOKENS, 3, "text")
    sink.count(TOKENS, 4, "text")
    sink.flush()
    sink.flush()
    sink.count(TOKENS, 1, "text")
    sink.flush()
    name = TOKENS.name
    assert handed_over == [
        (name, 7.0, {"kind": "text"}),
        (name, 1.0, {"kind": "text"}),
    ]


def test_totals_that_are_followed_become_increments_too(handed_over: HandedOver) -> None:
    sink, totals = RayMetricSink(), iter((0, 2, 2, 5))
    sink.follow(TEXTS, lambda: next(totals), "memory")
    for _ in range(4):
        sink.flush()
    assert [value for _, value, _ in handed_over] == [2, 3]


def test_gauges_are_set_at_every_flush_as_long_as_there_is_a_value(handed_over: HandedOver) -> None:
    sink, values = RayMetricSink(), iter((None, 1.0, 0.0))
    sink.follow(CACHE_UP, lambda: next(values))
    for _ in range(3):
        sink.flush()
    assert [value for _, value, _ in handed_over] == [1.0, 0.0]


def test_labels_reach_their_names(handed_over: HandedOver) -> None:
    sink = RayMetricSink()
    sink.follow(MODEL_INFO, lambda: 1.0, "acme", "rev", "torch")
    sink.flush()
    assert handed_over[0][2] == {"model": "acme", "revision": "rev", "engine": "torch"}


def test_histograms_are_handed_over_at_once(handed_over: HandedOver) -> None:
    RayMetricSink().observe(INFERENCE_SECONDS, 0.25)
    assert handed_over == [(INFERENCE_SECONDS.name, 0.25, {})]


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
