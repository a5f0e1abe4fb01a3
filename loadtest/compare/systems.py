"""The systems that are compared, and how each is started."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

PEERS: Final = Path(__file__).parent / "peers"

Answer = Any
Engine = Literal["onnx-int8", "torch"]


@dataclass(frozen=True)
class System:
    """A server that speaks HTTP.

    Attributes:
        name: As in the tables.
        about: What it is, in a line.
        package: The distribution whose version is reported.
        requirements: Name of its file in `requirements/`.
        engine: What computes.
        command: Arguments after its interpreter, given the port and the number of cores.
        path: Where requests are posted to.
        key: Under which a request carries its texts.
        predictions: Finds the predictions in an answer.
        standalone: Shares no package with this project.
    """

    name: str
    about: str
    package: str
    requirements: str
    engine: Engine
    command: Callable[[int, int], list[str]]
    path: str = "/predict"
    key: str = "text"
    predictions: Callable[[Answer], Any] = lambda answer: answer["predictions"]
    standalone: bool = False


def _uvicorn(module: str, workers: int | None = None) -> Callable[[int, int], list[str]]:
    """Return the command of a uvicorn; `workers` defaults to one a core."""

    def command(port: int, cores: int) -> list[str]:
        options = f"--app-dir {PEERS} --port {port} --workers {workers or cores}"
        return ["-m", "uvicorn", f"{module}:app", "--no-access-log", *options.split()]

    return command


def _litserve(port: int, cores: int) -> list[str]:
    return [str(PEERS / "litserve_server.py")]


def _bentoml(port: int, cores: int) -> list[str]:
    options = f"--host 127.0.0.1 --port {port} --working-dir {PEERS}"
    return ["-m", "bentoml", "serve", "bentoml_service:Sentiment", *options.split()]


def _mosec(port: int, cores: int) -> list[str]:
    options = f"--address 127.0.0.1 --port {port} --timeout 120000 --log-level warning"
    return [str(PEERS / "mosec_server.py"), *options.split()]


def _infinity(port: int, cores: int) -> list[str]:
    options = f"--host 127.0.0.1 --port {port} --engine torch --device cpu"
    return ["-m", "infinity_emb.cli", "v2", *options.split()]


_ENGINES: Final[tuple[Engine, ...]] = ("torch", "onnx-int8")

SYSTEMS: Final = {
    system.name: system
    for system in (
        System(
            "replaced",
            "FastAPI, transformers pipeline in a thread pool, cache of whole requests in Redis",
            "transformers",
            "fastapi",
            "torch",
            _uvicorn("replaced", workers=1),
        ),
        System(
            "fastapi",
            "hand-tuned FastAPI: a worker a core, ONNX int8, cache per text in Redis, orjson",
            "fastapi",
            "fastapi",
            "onnx-int8",
            _uvicorn("fastapi_onnx"),
        ),
        *(
            System(
                f"litserve-{engine.removeprefix('onnx-')}",
                "LitServe: a worker a core, batches within 10 ms, fast queue",
                "litserve",
                "litserve",
                engine,
                _litserve,
            )
            for engine in _ENGINES
        ),
        *(
            System(
                f"bentoml-{engine.removeprefix('onnx-')}",
                "BentoML: a worker a core, adaptive batching",
                "bentoml",
                "bentoml",
                engine,
                _bentoml,
                predictions=lambda answer: answer,
            )
            for engine in _ENGINES
        ),
        *(
            System(
                f"mosec-{engine.removeprefix('onnx-')}",
                "mosec: a worker a core, dynamic batching",
                "mosec",
                "mosec",
                engine,
                _mosec,
                path="/inference",
            )
            for engine in _ENGINES
        ),
        System(
            "infinity",
            "Infinity with its torch engine",
            "infinity-emb",
            "infinity",
            "torch",
            _infinity,
            path="/classify",
            key="input",
            predictions=lambda answer: answer["data"],
            standalone=True,
        ),
    )
}
