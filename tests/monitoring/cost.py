"""CPU time that observing costs: `python -m tests.monitoring.cost`, on a quiet machine.

A request is driven through the HTTP application in the process of a Ray actor, over the contract
tests' service, with and without observers; the least of several rounds counts.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import ray
from starlette.types import ASGIApp, Message, Scope

ROUNDS: Final = 5
REQUESTS: Final = 3000


def request_us(app: ASGIApp, texts: int) -> float:
    """Return the CPU microseconds of one request of so many texts."""
    body = json.dumps({"text": [f"a text of some twenty words {n}" for n in range(texts)]}).encode()
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/project/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-length", b"%d" % len(body)), (b"x-request-id", b"a" * 32)],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_: Message) -> None:
        pass

    async def drive() -> float:
        started = time.process_time()
        for _ in range(REQUESTS):
            await app(dict(scope), receive, send)
        return (time.process_time() - started) / REQUESTS * 1e6

    return asyncio.run(drive())


@ray.remote
def measure() -> dict[str, float]:
    """Return CPU microseconds by what was observed."""
    from serve_app.api.app import create_app  # noqa: PLC0415 - in the actor's process alone
    from serve_app.api.request_record import Observer, RequestLog, RequestMetrics  # noqa: PLC0415
    from serve_app.classifier.scheduler import ForwardPass  # noqa: PLC0415
    from serve_app.ray_serve.classifier import forward_pass_recorder  # noqa: PLC0415
    from serve_app.ray_serve.metrics import RayMetricSink  # noqa: PLC0415
    from serve_app.settings import GatewaySettings  # noqa: PLC0415
    from tests.contract.hash_service import MODEL, READY, HashService  # noqa: PLC0415

    meters = RayMetricSink()
    service = HashService(GatewaySettings(), None, False, READY, MODEL)
    with Path("/dev/null").open("w") as nowhere:
        log = RequestLog("json", nowhere)

        def with_lines_written(report: object) -> None:
            log(report)  # type: ignore[arg-type]
            log.write()

        kinds: dict[str, Sequence[Observer]] = {
            "nothing": [],
            "metrics": [RequestMetrics(meters)],
            "log": [with_lines_written],
        }
        apps = {name: create_app(service, observers) for name, observers in kinds.items()}
        costs = {
            f"request, {name}": min(request_us(app, 1) for _ in range(ROUNDS))
            for name, app in apps.items()
        }
    passes = forward_pass_recorder(("NEGATIVE", "POSITIVE"), meters, "softmax")
    done = ForwardPass([24] * 32, 0.01, 0.01, np.zeros((32, 2), dtype=np.float32), [None] * 32)
    started = time.process_time()
    for _ in range(REQUESTS):
        passes(done)
    costs["pass of 32 texts, metrics"] = (time.process_time() - started) / REQUESTS * 1e6
    started = time.process_time()
    for _ in range(REQUESTS):
        meters.flush()
    costs["flush, once a second"] = (time.process_time() - started) / REQUESTS * 1e6
    return costs


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=1, log_to_driver=False)
    for name, cost in ray.get(measure.remote()).items():
        print(f"{name:30} {cost:6.1f} µs")
    ray.shutdown()
