"""From the order for one classifier replica to its first answer, on a Ray that runs already."""

import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from loadtest.configs import PROD
from loadtest.program import run_program
from serve_app.model.store import resolve
from serve_app.ray_serve.classifier import Classifier
from serve_app.settings import ClassifierSettings, EngineName

TEXT = "a first text"
LIMIT_S = 120.0


def cold_start_s(model: str, engine: EngineName) -> float:
    """Measure in a Ray of its own."""
    with tempfile.TemporaryDirectory() as directory:
        # Ray's processes share the standard output.
        written = Path(directory, "seconds")
        module = "loadtest.bench.cold_start"
        status = run_program(
            module,
            model,
            engine,
            str(written),
            config=PROD,
            limit_s=LIMIT_S,
            output=subprocess.DEVNULL,
        )
        if status != 0:
            raise RuntimeError(f"the measurement of a cold start ended with {status}")
        return float(written.read_text())


def main(source: str, engine: EngineName, written: Path) -> None:
    """Measure, and write down the seconds."""
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
    digest = resolve(source).digest
    application = deployment.bind(source, digest, engine)
    started = time.monotonic()
    handle = serve.run(application, name="cold", route_prefix=None)
    asyncio.run(_ask(handle, digest))
    # Serve is not shut down: its handle lived in a loop that has ended. The caller ends all.
    written.write_text(str(time.monotonic() - started))


async def _ask(handle: DeploymentHandle[Any], digest: str) -> None:
    """Use the handle from an event loop, as with production's settings it has to be."""
    await handle.classify_as.remote(digest, [TEXT], LIMIT_S)


if __name__ == "__main__":
    _, source, engine, written = sys.argv
    main(source, engine, Path(written))  # type: ignore[arg-type]  # cold_start_s names an engine
