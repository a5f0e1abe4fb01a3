"""From the order for one classifier replica to its first answer, on a Ray that runs already."""

import asyncio
import json
import logging
import subprocess
import sys
import time
import uuid
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from loadtest.bench.service import PROD
from serve_app.classifier.deployment import Classifier
from serve_app.launch import end_processes, environment
from serve_app.model.store import resolve
from serve_app.settings import ClassifierSettings, EngineName

TEXT = "a first text"
LIMIT_S = 120.0


def cold_start_s(model: str, engine: EngineName) -> float:
    """Measure in a Ray of its own.

    Args:
        model: Where the model comes from.
        engine: What runs it.
    """
    run_id = uuid.uuid4().hex
    measuring = subprocess.Popen(
        [sys.executable, "-m", "loadtest.bench.cold_start", model, engine],
        env=environment(PROD, run_id),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = measuring.communicate(timeout=LIMIT_S)
    finally:
        end_processes(run_id, measuring.pid)
    if measuring.returncode:
        raise RuntimeError(f"the measurement of a cold start ended with {measuring.returncode}")
    return float(json.loads(printed.splitlines()[-1]))


def main(source: str, engine: EngineName) -> None:
    """Measure, and print seconds as the last line."""
    ray.init(
        include_dashboard=False,
        namespace="serve",
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    serve.start(proxy_location="Disabled")
    deployment = serve.deployment(
        name="Classifier", user_config=ClassifierSettings().model_dump()
    )(Classifier)  # fmt: skip
    application = deployment.bind(source, resolve(source).digest, engine)
    started = time.monotonic()
    handle = serve.run(application, name="cold", route_prefix=None)
    asyncio.run(_ask(handle))
    # Serve is not shut down: its handle lived in a loop that has ended. The caller ends all.
    print(json.dumps(time.monotonic() - started), flush=True)


async def _ask(handle: DeploymentHandle[Any]) -> None:
    """Use the handle from an event loop, as with production's settings it has to be."""
    await handle.classify.remote([TEXT], LIMIT_S)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]  # from cold_start_s, which is typed
