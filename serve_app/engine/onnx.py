"""ONNX Runtime on CPU: the production engine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serve_app.engine.tokenizer import padded, passes
from serve_app.settings import OnnxName


class OnnxEngine:
    """An exported graph in ONNX Runtime.

    Args:
        path: ONNX file with inputs `input_ids` and `attention_mask` and the output `logits`.
        name: Which of the two ONNX engines it is.
        pad_id: Token id that fills up shorter sequences.
        threads: Threads within one operator.
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
