"""Every metric of the service. `python -m monitoring.metrics_table` makes docs/metrics.md of them.

Units and names follow https://prometheus.io/docs/practices/naming/: seconds, and no unit in the
name of a count. Labels are bounded: by the service's own statuses, by the model's labels, or by
the fixed values that the help text lists.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, eq=False, slots=True)
class Metric:
    """One metric; Ray Serve adds the labels `deployment`, `replica` and `application`.

    `name` is the one before Ray and Prometheus add to it, `buckets` are upper bounds.
    """

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_counter = partial(Metric, "counter")
_gauge = partial(Metric, "gauge")


def _histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Metric:
    return Metric("histogram", name, meaning, buckets=buckets)


# The objectives of monitoring/rules.yaml are bounds of these buckets.
_REQUEST_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
_CACHE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
_TOKENIZE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
_TEXTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS: Final = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)

REQUESTS: Final = _counter(
    "sentiment_requests",
    "Predictions asked for, by HTTP status and by `outcome`: `ok`, `disconnected`, or the last "
    "part of the problem's type",
    ("status", "outcome"),
)
REQUEST_SECONDS: Final = _histogram(
    "sentiment_request_seconds",
    "Time from the arrival of a prediction's head to the last byte of a 200 answer",
    _REQUEST_SECONDS,
)
TEXTS: Final = _counter(
    "sentiment_texts",
    "Texts by `source` of their scores: `memory`, `redis`, `computed`, `shared` (another request "
    "was computing them) or `duplicate` (of a text of the same request)",
    ("source",),
)
REFUSED_TEXTS: Final = _counter(
    "sentiment_refused_texts",
    "Texts of well-formed requests that were answered with a problem, by its `reason`",
    ("reason",),
)
TRUNCATED_TEXTS: Final = _counter(
    "sentiment_truncated_texts", "Texts answered that had more tokens than the model reads"
)
CACHE_SECONDS: Final = _histogram(
    "sentiment_cache_seconds", "Time of a request's one look-up in memory and Redis", _CACHE_SECONDS
)
CACHE_UP: Final = _gauge(
    "sentiment_cache_up",
    "1 while Redis helps, 0 while requests are answered without it; absent where none is used",
)
CACHE_BREAKER: Final = _gauge(
    "sentiment_cache_breaker_open",
    "State of the breaker of each `operation`, `read` or `write`: 0 closed, 0.5 half-open, 1 open",
    ("operation",),
)
CACHE_FAILURES: Final = _counter(
    "sentiment_cache_failures",
    "Calls to Redis that failed or were too slow, by `operation`: `read`, `write` or `probe`",
    ("operation",),
)
CACHE_ENTRIES: Final = _gauge(
    "sentiment_cache_entries",
    "Texts in a replica's memory tier, expired ones included until they are found so",
)
TEXTS_IN_FLIGHT: Final = _gauge(
    "sentiment_texts_in_flight",
    "Distinct texts that wait for the model's replicas or are being computed",
)
WAITING_REQUESTS: Final = _gauge(
    "sentiment_waiting_requests",
    "Requests that wait for texts in flight, their own or those of others (coalesced)",
)
MODEL_INFO: Final = _gauge(
    "sentiment_model_info", "1; its labels say what is served", ("model", "revision", "engine")
)
TOKENIZE_SECONDS: Final = _histogram(
    "sentiment_tokenize_seconds", "Time to tokenize the texts of one call", _TOKENIZE_SECONDS
)
QUEUE_SECONDS: Final = _histogram(
    "sentiment_queue_seconds",
    "Age of the oldest text of a batch when its forward pass starts",
    _REQUEST_SECONDS,
)
INFERENCE_SECONDS: Final = _histogram(
    "sentiment_inference_seconds", "Time of one forward pass", _REQUEST_SECONDS
)
BATCH_TEXTS: Final = _histogram("sentiment_batch_texts", "Texts in one forward pass", _TEXTS)
BATCH_TOKENS: Final = _histogram(
    "sentiment_batch_tokens", "Tokens in one forward pass, padding included", _TOKENS
)
TOKENS: Final = _counter(
    "sentiment_tokens",
    "Tokens in forward passes, by `kind`: `text`, or `padding`, of which ONNX computes attention "
    "only",
    ("kind",),
)
WAITING_TEXTS: Final = _gauge(
    "sentiment_waiting_texts", "Tokenized texts that wait for a replica's engine"
)
ABANDONED_TEXTS: Final = _counter(
    "sentiment_abandoned_texts",
    "Texts dropped before inference, by `reason`: their caller `left`, or their `deadline` passed; "
    "in the gateway too, where texts are held",
    ("reason",),
)
FAILED_TEXTS: Final = _counter("sentiment_failed_texts", "Texts that the model could not score")
PREDICTIONS: Final = _counter(
    "sentiment_predictions",
    "Texts computed by predicted `label` and by `confidence`: its probability, rounded up to a "
    "tenth. A shift of either is drift of the texts or of the model",
    ("label", "confidence"),
)
EVENT_LOOP_TASKS: Final = _gauge(
    "sentiment_event_loop_tasks",
    "Tasks of the event loop that serves a replica's requests; in the gateway too",
)


class MetricSink(Protocol):
    """The values of the metrics of one replica."""

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a counter; labels are the values of the metric's labels, in their order."""

    def observe(self, metric: Metric, value: float) -> None:
        """Add a value to a histogram without labels."""

    def follow(self, metric: Metric, read: Callable[[], float | None], *labels: str) -> None:
        """Read a gauge's value, or a counter's total, from now on; None where there is no value.

        `read` is called about once a second, from another thread.
        """


def follow_tasks(metrics: MetricSink) -> None:
    """Let the metrics follow from now on how many tasks the running event loop has."""
    loop = asyncio.get_running_loop()
    metrics.follow(EVENT_LOOP_TASKS, lambda: len(asyncio.all_tasks(loop)))
