"""Starts a peer's server, and ends it."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

from loadtest.compare.environments import python_of
from loadtest.compare.systems import System
from loadtest.machine import cores
from loadtest.ports import free_port
from loadtest.redis_server import RedisServer
from loadtest.service import Service
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import resolve
from serve_app.ray_serve.launch import RUN_ID, end_processes

START_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.25
LOG_TAIL: Final = 2000


@contextmanager
def running(system: System, model: Path) -> Iterator[Service]:
    """Run a peer and, whether it uses it or not, a Redis.

    Args:
        system: The peer.
        model: The model's directory.

    Raises:
        RuntimeError: It did not answer in time, or ended; says what it printed last.
    """
    run_id, port = uuid.uuid4().hex, free_port()
    command = system.command(port, cores())
    python = python_of(system.requirements, standalone=system.standalone)
    with RedisServer() as redis, TemporaryFile() as log:
        server = subprocess.Popen(
            [python, *command],
            env=_environment(system, model, port, redis) | {RUN_ID: run_id},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            give_up = time.monotonic() + START_TIMEOUT_S
            while not _answers(url + system.path, system.key):
                if server.poll() is not None or time.monotonic() > give_up:
                    log.seek(0)
                    said = log.read().decode(errors="replace")[-LOG_TAIL:]
                    raise RuntimeError(f"{system.name} does not start: {said}")
                time.sleep(POLL_S)
            yield Service(url, (psutil.Process(server.pid), psutil.Process(redis.pid)))
        finally:
            end_processes(run_id, server.pid)
            server.wait()


def ask(url: str, key: str, texts: list[str]) -> Any:
    """Return a server's answer to one request."""
    body = json.dumps({key: texts}).encode()
    request = Request(url, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=START_TIMEOUT_S) as answer:
        return json.load(answer)


def _answers(url: str, key: str) -> bool:
    with suppress(URLError, ConnectionError, TimeoutError):
        ask(url, key, ["a first text"])
        return True
    return False


def _environment(system: System, model: Path, port: int, redis: RedisServer) -> dict[str, str]:
    artefact = find_bundle(resolve(str(model)))
    assert artefact is not None, "base_model() has prepared it"
    foreign = ("PYTHONPATH", "RAY_", "SENTIMENT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "PEER_MODEL": str(model),
        "PEER_ONNX": str(artefact.verified_path("onnx-int8")),
        "PEER_ENGINE": system.engine,
        "PEER_REDIS": redis.url,
        "PEER_PORT": str(port),
        "TOKENIZERS_PARALLELISM": "false",
        # None of them is to look for models elsewhere or to report home.
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "true",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "INFINITY_MODEL_ID": str(model),
    }
