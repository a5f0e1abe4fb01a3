"""PyTorch: the reference on CPU and the engine on GPU."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging as transformers_logging

from serve_app.engine.tokenizer import padded
from serve_app.model.store import ModelIdentity


class TorchEngine:
    """The model as transformers defines it.

    Float32 on CPU; on CUDA bfloat16 where the GPU has it, else float16.

    Args:
        model: A model directory with safetensors weights.
        pad_id: Token id that fills up shorter sequences.
        threads: Threads within one operator, on CPU.
        device: `cpu` where float32 is wanted; by default the GPU where there is one.
    """

    name: Final[Literal["torch"]] = "torch"

    def __init__(
        self, model: ModelIdentity, *, pad_id: int, threads: int, device: str | None = None
    ) -> None:
        torch.set_num_threads(threads)
        transformers_logging.disable_progress_bar()
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model = AutoModelForSequenceClassification.from_pretrained(
            model.path, dtype=_dtype(self._device), local_files_only=True, use_safetensors=True
        )
        self._model.to(self._device).eval()
        self._pad_id = pad_id

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch; see `Engine.logits`."""
        ids, mask = padded(token_ids, self._pad_id)
        output = self._model(
            input_ids=torch.from_numpy(ids).to(self._device),
            attention_mask=torch.from_numpy(mask).to(self._device),
        )
        logits: NDArray[np.float32] = output.logits.float().cpu().numpy()
        return logits


def _dtype(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
