"""Deadlines that pass and clients who leave."""

import json
import random
import socket
import struct
import time
from typing import Final

from loadtest.answers import Margins, short_texts, simulated_margins
from loadtest.configs import DEV, PROD
from loadtest.generator import Stream
from loadtest.processes import MIB, usage
from loadtest.ray_service import CLASSIFIER, GATEWAY, RayService, seconds_until
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic
from serve_app.telemetry.metrics import EVENT_LOOP_TASKS
from tests.chaos.outcome import Row, row
from tests.chaos.overload import CLASSIFIER_TUNABLES, SIMULATED, UNCACHED
from tests.chaos.stage import stage_of

DEADLINE_MS: Final = 800
# What the way through proxy and gateway may add on a shared machine.
LATE_S: Final = 0.25
DISCONNECTS: Final = 500
MAX_GROWTH_MIB: Final = 24.0
MAX_DESCRIPTORS: Final = 8
# Those of its own clock, of a probe, of a connection that ends: none for each of the 500.
MAX_TASKS: Final = 16
# Metrics reach the endpoint within this time.
METRICS_S: Final = 30.0


def departures() -> list[Row]:
    """Ask for less time than the queue takes, then disconnect without a word."""
    known = simulated_margins(short_texts(2000))
    stage = stage_of(
        DEV, SIMULATED, gateway=UNCACHED, classifier=CLASSIFIER_TUNABLES, replicas=(1, 1)
    )
    return [_hurried(stage, known), _disconnected(stage, known)]


def behind_haproxy() -> list[Row]:
    """Disconnect from production's proxy."""
    known = simulated_margins(short_texts(2000))
    stage = stage_of(
        PROD, SIMULATED, gateway=UNCACHED, classifier=CLASSIFIER_TUNABLES, replicas=(1, 1)
    )
    return [_disconnected(stage, known, "HAProxy: ")]


def _hurried(stage: RayService, known: Margins) -> Row:
    before = stage.metric("sentiment_abandoned_texts")
    streams = (
        Stream("patient", 25, 30, 16),
        Stream("hurried", 10, 25, 4, begin_s=3, deadline_ms=DEADLINE_MS),
    )
    with Traffic(stage.url, known, *streams) as traffic:
        pass
    late = [record for record in traffic.of("hurried") if record.status == 504]
    slowest = max((record.seconds for record in late), default=0.0)
    dropped = seconds_until(lambda: stage.metric("sentiment_abandoned_texts") > before, METRICS_S)
    count = stage.metric("sentiment_abandoned_texts") - before
    return row(
        f"deadlines of {DEADLINE_MS} ms under overload",
        traffic.records,
        Verdict(
            "504 comes in time",
            f"{len(late)} of them, slowest {slowest * 1000:.0f} ms",
            bool(late) and slowest <= DEADLINE_MS / 1000 + LATE_S,
        ),
        Verdict(
            "texts of those who gave up are not computed",
            f"{count:.0f} texts dropped before inference",
            dropped is not None,
        ),
    )


def _disconnected(stage: RayService, known: Margins, title: str = "") -> Row:
    steady = Stream("steady", 3, 60, 1)
    texts = list(next(iter(known.values())))
    roles = {GATEWAY: stage.pids(GATEWAY), CLASSIFIER: stage.pids(CLASSIFIER)}
    with Traffic(stage.url, known, steady) as traffic:
        time.sleep(8)
        _disconnect(stage.port, texts, 50)
        time.sleep(8)
        # HAProxy is another process after each change of its configuration.
        proxies = [*stage.of_role("proxy"), *stage.haproxies()]
        before = usage([*roles[GATEWAY], *roles[CLASSIFIER], *proxies])
        tasks_before = tasks(stage)
        _disconnect(stage.port, texts, DISCONNECTS)
    idle = seconds_until(lambda: waiting(stage) == 0, METRICS_S)
    ended = seconds_until(lambda: tasks(stage) <= tasks_before + MAX_TASKS, METRICS_S)
    after = usage(before)
    grown = [after[pid].rss_bytes - held.rss_bytes for pid, held in before.items()]
    descriptors = [after[pid].fds - held.fds for pid, held in before.items()]
    return row(
        f"{title}{DISCONNECTS} clients disconnect without a word beside others",
        traffic.records,
        Verdict(
            "no text is on its way and no request waits afterwards",
            f"{waiting(stage):.0f} left",
            idle is not None,
        ),
        Verdict(
            "memory and file descriptors stay",
            f"{max(grown) / MIB:+.0f} MiB, {max(descriptors):+d} descriptors at most",
            max(grown) < MAX_GROWTH_MIB * MIB and max(descriptors) <= MAX_DESCRIPTORS,
        ),
        Verdict(
            "no task of theirs is left in the event loops",
            f"{tasks_before:.0f} before, {tasks(stage):.0f} after",
            tasks_before > 0 and ended is not None,
        ),
        Verdict(
            "no replica was replaced",
            "the same processes",
            roles == {GATEWAY: stage.pids(GATEWAY), CLASSIFIER: stage.pids(CLASSIFIER)},
        ),
        lossless=True,
    )


def _disconnect(port: int, texts: list[str], times: int) -> None:
    """Send requests and reset their connections a moment later, some before their body's end."""
    chosen = random.Random(0)
    for number in range(times):
        body = json.dumps({"text": chosen.sample(texts, 2)}).encode()
        head = "POST /project/predict HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            # A close that resets instead of ending in order.
            reset = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            connection.sendall(head.encode() + body[: None if number % 3 else len(body) // 2])
            time.sleep(0.02)


def waiting(stage: RayService) -> float:
    """Return how much is under way in the gateways."""
    names = ("sentiment_texts_in_flight", "sentiment_waiting_requests", "sentiment_waiting_texts")
    return sum(map(stage.metric, names))


def tasks(stage: RayService, **labels: str) -> float:
    """Return how many tasks the event loops of replicas have."""
    return stage.metric(EVENT_LOOP_TASKS.name, **labels)
