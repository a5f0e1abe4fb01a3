"""Metrics of what a gateway holds: its cache, its computations under way, its model."""

from functools import partial
from typing import Final

from serve_app.cache.breaker import BreakerState, CircuitBreaker
from serve_app.cache.score_cache import ScoreCache
from serve_app.gateway.gateway import Gateway
from serve_app.metrics.catalogue import (
    ABANDONED_TEXTS,
    CACHE_BREAKER,
    CACHE_ENTRIES,
    CACHE_FAILURES,
    CACHE_UP,
    MODEL_INFO,
    TEXTS,
    TEXTS_IN_FLIGHT,
    WAITING_REQUESTS,
)
from serve_app.metrics.meters import Meters

_BREAKER_STATES: Final[dict[BreakerState, float]] = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


def follow_gateway(meters: Meters, gateway: Gateway, cache: ScoreCache) -> None:
    """Let the metrics follow a gateway and its cache from now on."""
    model, flights = gateway.model, gateway.flights
    meters.follow(MODEL_INFO, partial(float, 1), model.model_id, model.revision, gateway.engine)
    meters.follow(TEXTS, lambda: cache.memory_hits, "memory")
    meters.follow(TEXTS, lambda: cache.shared_hits, "redis")
    meters.follow(TEXTS, lambda: flights.started, "computed")
    meters.follow(TEXTS, lambda: flights.joined, "shared")
    meters.follow(TEXTS, lambda: gateway.duplicates, "duplicate")
    meters.follow(ABANDONED_TEXTS, lambda: flights.abandoned, "left")
    meters.follow(TEXTS_IN_FLIGHT, lambda: flights.texts_in_flight)
    meters.follow(WAITING_REQUESTS, lambda: flights.waiting)
    meters.follow(CACHE_ENTRIES, lambda: cache.memory_entries)
    if cache.shared is None:
        return
    shared = cache.shared
    meters.follow(CACHE_UP, lambda: float(shared.state == "ok"))
    for operation, breaker in shared.breakers.items():
        meters.follow(CACHE_BREAKER, partial(_openness, breaker), operation)
    for operation in shared.failures:
        meters.follow(CACHE_FAILURES, partial(shared.failures.__getitem__, operation), operation)


def _openness(breaker: CircuitBreaker) -> float:
    return _BREAKER_STATES[breaker.state]
