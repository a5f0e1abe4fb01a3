"""The gateway as a Ray Serve deployment that takes HTTP."""

import time
from functools import partial
from typing import Any, Final

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette

from serve_app.api import request_record
from serve_app.api.app import create_app
from serve_app.autoscaling import gateway_stats
from serve_app.cache.redis import BreakerState
from serve_app.cache.score_cache import ScoreCache, open_cache
from serve_app.gateway.gateway import Gateway
from serve_app.model.store import ModelIdentity
from serve_app.ray_serve.cached_responses import Source
from serve_app.ray_serve.classifier_client import ClassifierClient
from serve_app.ray_serve.metrics import EXPORT_S, RayMetricSink, run_periodically
from serve_app.settings import AppArgs, EngineName, GatewaySettings
from serve_app.telemetry import metrics, tracing
from serve_app.telemetry.logs import configure
from serve_app.telemetry.metrics import MetricSink, follow_tasks


@serve.ingress()
class GatewayIngress:
    """The deployment of the gateway, which takes HTTP."""

    def __init__(
        self,
        classifier: DeploymentHandle[Any],
        args: AppArgs,
        model: ModelIdentity,
        engine: EngineName,
    ) -> None:
        settings = GatewaySettings()
        # The URL is read from the environment here: Serve stores the arguments.
        cache = open_cache(args.cache_url(), len(model.labels), settings)
        self._classifier = ClassifierClient(classifier, model.digest)
        self._gateway = Gateway(model, engine, cache, self._classifier, settings)
        self._meters = RayMetricSink()
        follow_gateway(self._meters, self._gateway, cache)
        follow_tasks(self._meters)
        run_periodically(EXPORT_S, self._meters.flush)
        configure(args.log_form)
        self._request_log = request_record.RequestLog(args.log_form)
        run_periodically(request_record.WRITE_S, self._request_log.write)
        self._recent = request_record.RecentRequests()
        counts = request_record.RequestMetrics(self._meters)
        self._observers = (counts, self._request_log, self._recent)
        # With tracing on, each request is traced from where Ray Serve hands it to the gateway.
        self.cached_responses = None if tracing.ENABLED else Source(self._gateway, self._observers)

    def reconfigure(self, user_config: dict[str, object]) -> None:
        """Apply new tunables without a restart."""
        settings = GatewaySettings.model_validate(user_config)
        self._gateway.reconfigure(settings)
        self._request_log.enabled = settings.request_log

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Publish this process's CPU time, and the characters for the model; Serve asks.

        A gateway's work is what its process computes, for cached texts as for others. Ongoing
        requests would count waits for the classifier, and a slow one would multiply idle gateways.
        A coroutine, since Serve gives a plain method a new thread each time, in which it would read
        calls while the event loop changes them.
        """
        return gateway_stats(
            cpu_seconds=time.process_time(),
            wanted_chars=self._gateway.admission.arrived_chars,
            held_chars=self._gateway.dispatcher.held_chars,
        )

    async def recent(self) -> request_record.RecentFigures:
        """Return this gateway's last seconds; the lab asks."""
        return self._recent.figures(self._classifier.replicas())

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return the application that Serve hosts on this replica."""
        return create_app(self._gateway, self._observers)

    async def __del__(self) -> None:
        """Finish pending writes; Serve calls this when the replica is to end."""
        await self._gateway.aclose()
        self._request_log.write()


_BREAKER_STATES: Final[dict[BreakerState, float]] = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


def follow_gateway(sink: MetricSink, gateway: Gateway, cache: ScoreCache) -> None:
    """Let the metrics follow a gateway and its cache from now on."""
    model, coalescer = gateway.model, gateway.coalescer
    served = model.model_id, model.revision, gateway.engine
    sink.follow(metrics.MODEL_INFO, lambda: 1.0, *served)
    sink.follow(metrics.TEXTS, lambda: cache.memory_hits, "memory")
    sink.follow(metrics.TEXTS, lambda: cache.shared_hits, "redis")
    sink.follow(metrics.TEXTS, lambda: coalescer.started, "computed")
    sink.follow(metrics.TEXTS, lambda: coalescer.joined, "shared")
    sink.follow(metrics.TEXTS, lambda: gateway.duplicates, "duplicate")
    sink.follow(metrics.ABANDONED_TEXTS, lambda: gateway.dispatcher.abandoned, "left")
    sink.follow(metrics.TEXTS_IN_FLIGHT, lambda: coalescer.texts_in_flight)
    sink.follow(metrics.WAITING_REQUESTS, lambda: coalescer.waiting)
    sink.follow(metrics.CACHE_ENTRIES, lambda: cache.memory.size)
    if cache.shared is None:
        return
    shared = cache.shared
    sink.follow(metrics.CACHE_UP, lambda: float(shared.state == "ok"))
    for operation, breaker in shared.breakers.items():
        openness = partial(lambda each: _BREAKER_STATES[each.state], breaker)
        sink.follow(metrics.CACHE_BREAKER, openness, operation)
    for operation in shared.failures:
        failures = partial(shared.failures.__getitem__, operation)
        sink.follow(metrics.CACHE_FAILURES, failures, operation)
