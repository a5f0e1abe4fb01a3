"""PyTorch: the reference on CPU and the engine on GPU."""

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from serve_app.console import first_line
from serve_app.engine.checkpoint import load_classifier
from serve_app.engine.tokenizer import Tokenizer, padded, passes
from serve_app.errors import ModelUnusable
from serve_app.model.store import ModelIdentity

# Rounding moves a logit by less than this share of the largest one.
_ROUNDING: Final = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


class TorchEngine:
    """The model as transformers defines it.

    Float32 on CPU; on CUDA bfloat16 where the GPU has it, else float16. Where padding would change
    the scores, as in decoders without a padding token, texts go through the model one by one.

    `threads` work within one operator on CPU. `device` is by default the GPU where there is one.
    Raises `ModelUnusable` if the model cannot be loaded, or cannot score what its tokenizer gives.
    """

    name: Final[Literal["torch"]] = "torch"

    def __init__(self, model: ModelIdentity, *, threads: int, device: str | None = None) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = _dtype(self._device)
        self._model = cast(Any, load_classifier(model.path, dtype=dtype)).to(self._device).eval()
        self._pad_id = model.pad_id
        self._one_by_one = False
        self.tokenizer = Tokenizer(model)
        self._check(model, _ROUNDING[dtype])

    def _check(self, model: ModelIdentity, rounding: float) -> None:
        """Score a short text, one of the most tokens, and a batch."""
        max_id, rows = self.tokenizer.max_id, self._model.get_input_embeddings().weight.shape[0]
        if max_id >= rows:
            raise ModelUnusable(
                f"the tokenizer of {model.path} has the token id {max_id}, "
                f"the model has embeddings for {rows} tokens",
                "give the tokenizer that belongs to the model, or resize_token_embeddings()",
            )
        texts = ["", "The film was good.", "good film " * model.max_tokens]
        token_ids = [tokens.ids for tokens in self.tokenizer.encode(texts)]
        try:
            alone = np.vstack([self.logits([ids]) for ids in token_ids])
        except Exception as error:
            raise ModelUnusable(
                f"{model.path} cannot score texts up to {model.max_tokens} tokens: "
                f"{first_line(error)}",
                "set model_max_length in tokenizer_config.json to the length that it can read",
            ) from error
        if not np.isfinite(alone).all():
            raise ModelUnusable(f"{model.path} gives scores that are no numbers", "train it again")
        try:
            moved = np.abs(self.logits(token_ids[:2]) - alone[:2]).max()
            self._one_by_one = bool(moved > rounding * max(1.0, np.abs(alone).max()))
        except Exception:  # a decoder without a padding token
            self._one_by_one = True

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Run one batch; see `Engine.logits`."""
        parts = [[ids] for ids in token_ids] if self._one_by_one else passes(token_ids)
        return np.concatenate([self._pass(texts) for texts in parts])

    def _pass(self, token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
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
