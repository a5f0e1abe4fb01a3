"""Starts a peer's server, and ends it."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

from loadtest.compare.environments import python_of
from loadtest.compare.systems import System
from loadtest.machine import cores
from loadtest.ports import free_port
from loadtest.redis_server import RedisServer
from loadtest.service import Running, Server
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import resolve
from serve_app.ray_serve.launch import RUN_ID, end_processes

ANSWER_TIMEOUT_S: Final = 120.0


@contextmanager
def running(system: System, model: Path) -> Iterator[Running]:
    """Run a peer and, whether it uses it or not, a Redis.

    Raises:
        StartupError: It did not answer in time, or ended; says what it printed last.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python_of(system.requirements, standalone=system.standalone))]
    command += system.command(port, cores())
    run_id = uuid.uuid4().hex
    with RedisServer() as redis:
        variables = _environment(system, model, port, redis) | {RUN_ID: run_id}
        server = Server(
            command, variables, lambda _: _answers(url + system.path, system.key), quiet=True
        )
        try:
            with server:
                yield Running(url, (server.root, psutil.Process(redis.pid)))
        finally:
            end_processes(run_id, server.pid)


def ask(url: str, key: str, texts: list[str]) -> Any:
    """Return a server's answer to one request."""
    body = json.dumps({key: texts}).encode()
    request = Request(url, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
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
