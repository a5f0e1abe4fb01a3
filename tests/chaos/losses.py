"""Processes that die, hang or do not start."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from loadtest.answers import Margins, short_texts, simulated_margins
from loadtest.configs import DEV, PROD
from loadtest.generator import Stream
from loadtest.ray_service import CLASSIFIER, GATEWAY, Bounds, RayService, seconds_until
from loadtest.scale.nodes import Nodes
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Traffic
from serve_app.model.store import EMBEDDED
from tests.chaos.outcome import Row, in_time, row
from tests.chaos.stage import stage_of

SIMULATED: Final = {
    "model": "embedded",
    "engine": "simulated",
    "cache": "memory://",
    "simulated": {"batch_ms": 20, "token_us": 100},
}
# Under this one some seven requests are under way at any time, to be lost with what is killed.
SLOW: Final = SIMULATED | {"simulated": {"batch_ms": 400, "token_us": 100}}
UNCACHED: Final = {"cache_memory_entries": 1}
RATE: Final = 15.0
LOAD_S: Final = 25.0
BEFORE_S: Final = 5.0
# How long a proxy may be away.
AWAY_S: Final = 15.0
RECOVERY_S: Final = 60.0
# Health checks every 5 s, which fail after 10 s, three times, and the start of a new replica.
HANG_S: Final = 90.0


def losses() -> list[Row]:
    """Kill every part of a service but its proxy."""
    known = simulated_margins(short_texts(1000))
    stage = stage_of(DEV, SLOW, gateway=UNCACHED, replicas=(2, 2))
    return [
        _kill(stage, known, "a classifier is killed", lambda: stage.pids(CLASSIFIER)[:1]),
        _kill(stage, known, "all classifiers are killed", lambda: stage.pids(CLASSIFIER)),
        _kill(stage, known, "a gateway is killed", lambda: stage.pids(GATEWAY)[:1]),
        _kill(stage, known, "Serve's controller is killed", lambda: stage.of_role("controller")),
    ]


def hang() -> list[Row]:
    """Stop one of two classifiers without killing it."""
    known = simulated_margins(short_texts(1000))
    stage = stage_of(DEV, SIMULATED, gateway=UNCACHED, replicas=(1, 2))
    return [_hang(stage, known)]


def proxy() -> list[Row]:
    """Kill Ray's own proxy."""
    known = simulated_margins(short_texts(1000))
    stage = stage_of(DEV, SLOW, gateway=UNCACHED)
    return [
        _kill(
            stage,
            known,
            "Ray's proxy is killed",
            lambda: stage.of_role("proxy"),
            # Its clients lose their connections, and new ones are refused until it is back.
            broken=int(RATE * AWAY_S),
        ),
    ]


def haproxy() -> list[Row]:
    """Kill what production has in place of Ray's proxy, and a gateway behind it."""
    known = simulated_margins(short_texts(1000))
    stage = stage_of(PROD, SLOW, gateway=UNCACHED, replicas=(2, 2))
    return [
        _kill(stage, known, "HAProxy: a gateway is killed", lambda: stage.pids(GATEWAY)[:1]),
        _kill(stage, known, "HAProxy: a classifier is killed", lambda: stage.pids(CLASSIFIER)[:1]),
        _kill(
            stage,
            known,
            "HAProxy is killed",
            stage.haproxies,
            broken=int(RATE * AWAY_S),
        ),
    ]


def node() -> list[Row]:
    """Kill one of three worker nodes.

    Nodes of one machine share its ports, so that the one proxy is on the head here. Workers with
    ports, and proxies, of their own are those of `make prod-local`, which loses one too.
    """
    known = simulated_margins(short_texts(1000))
    nodes = Nodes()
    stage = stage_of(PROD, SIMULATED, gateway=UNCACHED, replicas=(3, 6), cpus=0)

    def placed() -> list[str]:
        running = (*stage.fleet(GATEWAY).running, *stage.fleet(CLASSIFIER).running)
        return [replica.node or "" for replica in running]

    before = len(placed())
    with Traffic(stage.url, known, Stream("steady", RATE, 40)) as traffic:
        time.sleep(BEFORE_S)
        victim = max(nodes.names(), key=placed().count)
        nodes.kill(victim)
        gone = seconds_until(lambda: len(placed()) < before, RECOVERY_S)
        back = seconds_until(lambda: len(placed()) == before, RECOVERY_S)
    took = None if gone is None or back is None else gone + back
    return [
        row(
            "a worker node is killed",
            traffic.records,
            in_time("all replicas run again on the nodes that are left", took),
        )
    ]


def failing_start() -> list[Row]:
    """Ask for another replica that cannot start, because its node's model is damaged."""
    known = simulated_margins(short_texts(1000))
    with tempfile.TemporaryDirectory() as directory:
        model = Path(shutil.copytree(EMBEDDED, Path(directory, "embedded")))
        known = {"embedded": next(iter(known.values())), **known}
        stage = stage_of(DEV, SIMULATED | {"model": str(model)}, gateway=UNCACHED)
        with Traffic(stage.url, known, Stream("steady", RATE, 30)) as traffic:
            time.sleep(BEFORE_S)
            hidden = model / "tokenizer.json"
            hidden.rename(model / "hidden")
            stage.scale(CLASSIFIER, Bounds(2, 2))
            stage.submit()
            time.sleep(10)
            starved = len(stage.fleet(CLASSIFIER).running)
            (model / "hidden").rename(hidden)
            back = seconds_until(lambda: len(stage.fleet(CLASSIFIER).running) == 2, RECOVERY_S)
    return [
        row(
            "a replica that fails to start",
            traffic.records,
            Verdict("the others serve", f"{starved} of 2 run meanwhile", starved == 1),
            in_time("it starts when it can", back),
            lossless=True,
        )
    ]


def _kill(
    stage: RayService,
    known: Margins,
    fault: str,
    victims: Callable[[], list[int]],
    *,
    broken: int = 0,
) -> Row:
    fleets = {name: len(stage.pids(name)) for name in (GATEWAY, CLASSIFIER)}
    with Traffic(stage.url, known, Stream("steady", RATE, LOAD_S)) as traffic:
        time.sleep(BEFORE_S)
        chosen, killed = victims(), time.time()
        for pid in chosen:
            os.kill(pid, signal.SIGKILL)

        def whole() -> bool:
            pids = {pid for name in fleets for pid in stage.pids(name)}
            return len(pids) == sum(fleets.values()) and not pids & set(chosen)

        back = seconds_until(whole, RECOVERY_S)
    under_way = sum(r.sent < killed < r.sent + r.seconds for r in traffic.records)
    last = max((r.sent for r in traffic.records if r.kind != "right"), default=killed)
    return row(
        fault,
        traffic.records,
        Verdict(f"there was something to kill ({len(chosen)})", str(len(chosen)), bool(chosen)),
        Verdict("requests were under way then", str(under_way), under_way > 1),
        in_time("all replicas run again, without a hand", back),
        Verdict(
            "the last request that was not answered was sent soon after",
            f"{last - killed:.1f} s",
            last - killed < AWAY_S,
        ),
        broken=broken,
    )


def _hang(stage: RayService, known: Margins) -> Row:
    """Stop a classifier: it does not die, and does not answer."""
    victim = stage.pids(CLASSIFIER)[0]
    with Traffic(stage.url, known, Stream("steady", 5, HANG_S, deadline_ms=5000)) as traffic:
        time.sleep(BEFORE_S)
        os.kill(victim, signal.SIGSTOP)
        stopped = time.time()
        back = seconds_until(
            lambda: len(pids := stage.pids(CLASSIFIER)) == 2 and victim not in pids, HANG_S
        )
    late = [record.sent - stopped for record in traffic.records if record.kind != "right"]
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return row(
        "a classifier hangs (SIGSTOP)",
        traffic.records,
        in_time("it is found and replaced", back),
        Verdict(
            "requests are refused only meanwhile",
            f"{len(late)} refused, the last one after {max(late, default=0.0):.0f} s",
            back is not None and max(late, default=0.0) <= back + 5,
        ),
    )
