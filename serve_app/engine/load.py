"""From an engine's name to the engine."""

from typing import assert_never

from serve_app.console import install
from serve_app.engine.engine import Engine
from serve_app.engine.onnx import OnnxEngine
from serve_app.engine.simulated import SimulatedEngine
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import find_bundle
from serve_app.model.store import ModelIdentity
from serve_app.settings import DEFAULT_COST, EngineName, OnnxName, SimulatedCost

WARM_UP_TOKENS = 16


def load(
    model: ModelIdentity,
    engine: EngineName,
    *,
    threads: int,
    simulated: SimulatedCost = DEFAULT_COST,
) -> Engine:
    """Load a model and run it once, so that the first request is no slower than the next.

    Args:
        model: What to load.
        engine: What runs it.
        threads: Threads within one operator, on CPU.
        simulated: What a pass costs where the engine is the simulated one.

    Raises:
        ModelUnusable: The engine's files or packages are missing.
    """
    match engine:
        case "onnx-int8" | "onnx-fp32":
            loaded = _onnx(model, engine, threads)
            loaded.logits([[model.pad_id] * WARM_UP_TOKENS])
            return loaded
        case "torch":
            return load_torch(model, threads=threads)
        case "simulated":
            return SimulatedEngine(len(model.labels), simulated)
        case _:
            assert_never(engine)


def _onnx(model: ModelIdentity, engine: OnnxName, threads: int) -> OnnxEngine:
    artefact = find_bundle(model)
    if artefact is None:
        raise ModelUnusable(
            f"{model.model_id} has not been prepared for {engine}",
            "run `sentiment model prepare`",
        )
    return OnnxEngine(artefact.verified_path(engine), engine, pad_id=model.pad_id, threads=threads)


def load_torch(model: ModelIdentity, *, threads: int, device: str | None = None) -> Engine:
    """Load the torch engine; see `TorchEngine`.

    Raises:
        ModelUnusable: The torch extra is not installed.
    """
    try:
        # Importing torch takes seconds and hundreds of megabytes, which an ONNX replica saves.
        from serve_app.engine.torch import TorchEngine  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnusable(
            f"the torch engine needs a package that is not installed: {error.name}",
            f"choose an ONNX engine, or {install('torch')}",
        ) from error
    return TorchEngine(model, pad_id=model.pad_id, threads=threads, device=device)
