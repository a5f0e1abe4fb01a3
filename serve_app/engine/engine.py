"""Engines: a model loaded into memory, from token ids to logits."""

import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, assert_never

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serve_app.console import install
from serve_app.engine.tokenizer import padded, passes
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import prepared_bundle
from serve_app.model.store import ModelIdentity
from serve_app.settings import DEFAULT_COST, EngineName, OnnxName, SimulatedCost

WARM_UP_TOKENS: Final = 16
# So that scores of the simulated engine lie between 0.02 and 0.98.
MAX_SIMULATED_LOGIT: Final = 2.0


class Engine(Protocol):
    """A model loaded into memory."""

    @property
    def name(self) -> EngineName:
        """Name of the engine, part of every cache key."""

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch: token ids of each text, special ones included, to [texts, labels]."""


class OnnxEngine:
    """A graph of `export_onnx` in ONNX Runtime on CPU: the production engine.

    Shorter sequences are filled up with `pad_id`; `threads` work within one operator.
    """

    def __init__(self, path: Path, name: OnnxName, *, pad_id: int, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The exported file is fused already. A higher level would fuse Add and LayerNormalization
        # further, into SkipLayerNormalization, which is slower on CPU; see docs/quantization.md.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # It would keep a plan of memory for every shape of batch that ever came.
        options.enable_mem_pattern = False
        # Replicas share cores, so a thread that waits must not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._pad_id = pad_id
        self.name = name

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch; see `Engine.logits`."""
        found: list[NDArray[np.float32]] = []
        for texts in passes(token_ids):
            ids, mask = padded(texts, self._pad_id)
            found += self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        return np.concatenate(found).astype(np.float32, copy=False)


class SimulatedEngine:
    """A stand-in that sleeps for the cost of a batch, and makes logits of the tokens alone.

    The same tokens get the same logits in every process, whatever the texts beside them.
    """

    name: Final[Literal["simulated"]] = "simulated"

    def __init__(self, labels: int, cost: SimulatedCost) -> None:
        self._labels = labels
        self._cost = cost

    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch; see `Engine.logits`."""
        # Padding is free, as in the ONNX graph, where only attention computes it.
        tokens = sum(map(len, token_ids))
        time.sleep(self._cost.batch_ms / 1e3 + tokens * self._cost.token_us / 1e6)
        texts = [np.asarray(ids, dtype="<i4").tobytes() for ids in token_ids]
        checks = [[zlib.crc32(text, label) for label in range(self._labels)] for text in texts]
        return (MAX_SIMULATED_LOGIT * (2 * np.array(checks) / 2**32 - 1)).astype(np.float32)


def load_engine(
    model: ModelIdentity,
    engine: EngineName,
    *,
    threads: int,
    device: str | None = None,
    simulated: SimulatedCost = DEFAULT_COST,
) -> Engine:
    """Load a model and run it once, so that the first request is as fast as the next.

    `threads` work within one operator, on CPU. `device` is that of the torch engine, `simulated`
    the cost of the simulated one. Raises `ModelUnusable` if files or packages are missing.
    """
    match engine:
        case "onnx-int8" | "onnx-fp32":
            path = prepared_bundle(model).verified_path(engine)
            loaded = OnnxEngine(path, engine, pad_id=model.pad_id, threads=threads)
            loaded.logits([[model.pad_id] * WARM_UP_TOKENS])
            return loaded
        case "torch":
            try:
                # Importing torch takes seconds and hundreds of megabytes, which ONNX saves.
                from serve_app.engine.torch import TorchEngine  # noqa: PLC0415
            except ImportError as error:
                raise ModelUnusable(
                    f"the torch engine needs a package that is not installed: {error.name}",
                    f"choose an ONNX engine, or {install('torch')}",
                ) from error
            return TorchEngine(model, threads=threads, device=device)
        case "simulated":
            return SimulatedEngine(len(model.labels), simulated)
        case _:
            assert_never(engine)


def batched_logits(
    engine: Engine, token_ids: Sequence[Sequence[int]], batch: int
) -> NDArray[np.float32]:
    """Run one text or more, in batches of at most so many; see `Engine.logits`."""
    starts = range(0, len(token_ids), batch)
    return np.concatenate([engine.logits(token_ids[start : start + batch]) for start in starts])
