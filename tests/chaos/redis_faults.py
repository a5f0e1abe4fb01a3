"""What can happen to Redis, on a real one: nobody notices but the metrics."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import redis

from loadtest.answers import Margins, short_texts, simulated_margins
from loadtest.configs import DEV
from loadtest.generator import Stream
from loadtest.ports import free_port
from loadtest.ray_service import RayService, seconds_until
from loadtest.redis_server import RedisServer
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic, cache_ms, hits
from serve_app.cache.score_cache import PREFIX
from serve_app.settings import GatewaySettings
from serve_app.telemetry.metrics import CACHE_BREAKER, CACHE_FAILURES, CACHE_UP
from tests.chaos.losses import SIMULATED
from tests.chaos.outcome import Row, in_time, row
from tests.chaos.stage import stage_of
from tests.chaos.tcp_proxy import TcpProxy

# Few enough that Redis is asked for most of them again; the memory in front of it holds one.
TEXTS: Final = 60
RATE: Final = 12.0
FAULT_S: Final = 8.0
CALM_S: Final = 4.0
# For the reading; the writing is off the answer's way.
BUDGET_MS: Final = 1000 * GatewaySettings().cache_timeout_s
# What the machine may add.
NOISE_MS: Final = 30.0
SLOW_S: Final = 0.2
METRICS_S: Final = 20.0
RECOVERY_S: Final = 15.0
# Few, so that a burst exhausts them.
CONNECTIONS: Final = 2
URL: Final = "SENTIMENT_CACHE_URL"
LOAD_KEYS: Final = 2000
# It looks at its connections after every two MiB that it has loaded.
BALLAST_BYTES: Final = 4096
# Microseconds that redis-server takes for each key of the file it starts with, for its own tests.
KEY_DELAY_US: Final = 4000

# redis-py's own type tells less than it answers.
Client = Any


class Faults:
    """Harms a Redis behind a service.

    Args:
        stage: The service.
        server: Its Redis.
        proxy: Between them.
        known: The right answers.
    """

    def __init__(
        self, stage: RayService, server: RedisServer, proxy: TcpProxy, known: Margins
    ) -> None:
        self._stage = stage
        self._server = server
        self._proxy = proxy
        self._known = known

    def calm(self) -> Row:
        """See that Redis is asked when nothing is wrong."""
        with self._load(FAULT_S) as traffic:
            pass
        found = hits(traffic.records)
        verdict = Verdict("Redis answers", f"{found} texts from Redis", found > 0)
        return row("Redis: nothing is wrong", traffic.records, verdict, lossless=True)

    def during(
        self,
        fault: str,
        harm: Callable[[], object],
        heal: Callable[[], object],
        *,
        opens: Literal["read", "write"] | None = "read",
        burst: Stream | None = None,
    ) -> Row:
        """Harm Redis under load, heal it, and judge.

        Args:
            fault: What is done.
            harm: Does it.
            heal: Undoes it.
            opens: The breaker that has to open, if one has to.
            burst: Further load while it lasts.
        """
        failures = self._stage.metric(CACHE_FAILURES.name)
        streams = [burst] if burst else []
        with self._load(CALM_S + FAULT_S + CALM_S, *streams) as traffic:
            time.sleep(CALM_S)
            harm()
            harmed = time.time()
            opened = seconds_until(partial(self._open, opens), FAULT_S) if opens else None
            time.sleep(max(0.0, harmed + FAULT_S - time.time()))
            state = self._stage.ready().get("cache", "no answer")
            heal()
            healed = time.time()
        back = seconds_until(lambda: self._stage.ready().get("cache") == "ok", RECOVERY_S)
        meanwhile = [record for record in traffic.records if harmed <= record.sent < healed]
        looked = [cache_ms(record) for record in meanwhile]
        looked_ms = float(np.percentile(looked, 95))
        verdicts = [
            Verdict(
                f"95 of 100 look into the cache for {BUDGET_MS:.0f} ms at most, "
                f"and {NOISE_MS:.0f} for the machine",
                f"p95 {looked_ms:.1f} ms, median {np.median(looked):.1f}",
                looked_ms <= BUDGET_MS + NOISE_MS,
            ),
            in_time("the cache is well again, without a hand", back),
        ]
        if opens or burst:
            counted = seconds_until(
                lambda: self._stage.metric(CACHE_FAILURES.name) > failures, METRICS_S
            )
            count = self._stage.metric(CACHE_FAILURES.name) - failures
        if opens:
            verdicts += [
                Verdict(
                    "ready and metrics tell of it",
                    f"ready says {state}, {count:.0f} failures",
                    state == "degraded" and counted is not None,
                ),
                self._breaker(opens, opened),
            ]
        if burst:
            verdicts.append(
                Verdict("some found no connection in time", f"{count:.0f}", counted is not None)
            )
        return row(f"Redis: {fault}", traffic.records, *verdicts, lossless=True)

    def _breaker(self, operation: str, opened: float | None) -> Verdict:
        """Judge whether the metrics have shown a breaker open, and show it closed again."""
        closed = seconds_until(lambda: self._closed(operation), METRICS_S)
        told = [f"after {each:.0f} s" if each is not None else "never" for each in (opened, closed)]
        return Verdict(
            f"the metrics show the breaker of {operation}s open, then closed",
            f"open {told[0]}, closed {told[1]}",
            opened is not None and closed is not None,
        )

    def _open(self, operation: str) -> bool:
        # Half-open for moments only, it counts as open.
        return self._stage.metric(CACHE_BREAKER.name, operation=operation) > 0

    def _closed(self, operation: str) -> bool:
        # A gauge that is not there at all reads as zero, so that the one beside it has to be one.
        return self._stage.metric(CACHE_UP.name) == 1 and not self._open(operation)

    def _load(self, seconds: float, *more: Stream) -> Traffic:
        stream = Stream("steady", RATE, seconds, texts=2)
        return Traffic(self._stage.url, self._known, stream, *more)


def redis_faults() -> list[Row]:
    """Start without Redis, then live through everything that can happen to it."""
    known = simulated_margins(short_texts(TEXTS))
    server = RedisServer("--key-load-delay", str(KEY_DELAY_US))
    with TcpProxy(server.port) as proxy:
        # A configuration file takes no option, which could be a password.
        os.environ[URL] = f"redis://127.0.0.1:{proxy.port}/0?max_connections={CONNECTIONS}"
        stage = stage_of(
            DEV,
            SIMULATED | {"cache": f"env:{URL}"},
            gateway={"cache_memory_entries": 1},
        )
        faults = Faults(stage, server, proxy, known)
        rows = [faults.during("down from the start", lambda: None, server.start)]
        try:
            rows.append(faults.calm())
            rows += _live_through(faults, server, proxy)
        finally:
            server.kill()
        return rows


def _live_through(faults: Faults, server: RedisServer, proxy: TcpProxy) -> list[Row]:
    client: Client = redis.Redis(port=server.port)

    def configure(**options: str) -> None:
        for name, value in options.items():
            client.config_set(name.replace("_", "-"), value)

    def hang_up() -> None:
        client.client_kill_filter(_type="normal", skipme=True)

    def slow(seconds: float) -> Callable[[], None]:
        return lambda: setattr(proxy, "delay_s", seconds)

    def fill() -> None:
        client.flushall()
        configure(maxmemory="1", maxmemory_policy="noeviction")

    def lock() -> None:
        configure(requirepass="another")
        hang_up()

    def unlock() -> None:
        redis.Redis(port=server.port, password="another").config_set("requirepass", "")

    burst = Stream("burst", 100, FAULT_S, begin_s=CALM_S)
    return [
        faults.during("killed", server.kill, server.start),
        faults.during("stopped (SIGSTOP), accepts and never answers", server.pause, server.resume),
        faults.during(f"{SLOW_S * 1000:.0f} ms slow", slow(SLOW_S), slow(0)),
        faults.during(
            "full (maxmemory, noeviction)",
            fill,
            lambda: configure(maxmemory="0"),
            opens="write",
        ),
        faults.during("asks for a password", lock, unlock),
        faults.during(
            "a read-only replica",
            lambda: (client.flushall(), client.replicaof("127.0.0.1", free_port())),
            lambda: client.replicaof("NO", "ONE"),
            opens="write",
        ),
        faults.during("loads its data set", lambda: load_slowly(client, server), lambda: None),
        faults.during(
            "foreign values under our keys",
            lambda: poison(client),
            client.flushall,
            opens=None,
        ),
        faults.during("flushed", client.flushall, lambda: None, opens=None),
        faults.during(
            "its connections are exhausted", slow(0.03), slow(0), opens=None, burst=burst
        ),
    ]


def poison(client: Client) -> None:
    """Put what is no score of ours, or of another text, under every key."""
    keys = client.keys(f"{PREFIX}:*".encode())
    values = [client.get(key) for key in keys]
    for number, key in enumerate(keys):
        if number % 3 == 0:
            client.set(key, b"\x80\x04foreign")
        elif number % 3 == 1:
            client.set(key, values[number - 1])
        else:
            client.delete(key)
            client.lpush(key, b"a list")


def load_slowly(client: Client, server: RedisServer) -> None:
    """Restart it with a file that it takes seconds to load; it says LOADING meanwhile."""
    client.mset({f"ballast {number}": os.urandom(BALLAST_BYTES) for number in range(LOAD_KEYS)})
    client.save()
    server.kill()
    threading.Thread(target=server.start).start()
