"""What the peers compute with: the same model, tokenizer and int8 file that we serve.

Each peer's server is a program of its own and imports nothing of ours.
"""

import os
from typing import Any, Protocol

import numpy as np

LABELS = ("NEGATIVE", "POSITIVE")
MAX_TOKENS = 512

Prediction = list[dict[str, Any]]


class Engine(Protocol):
    """Scores texts."""

    def __call__(self, texts: list[str]) -> list[Prediction]:
        """Return each text's labels and scores, highest first."""


class OnnxInt8:
    """ONNX Runtime on one thread, with the session options that this file is fastest with."""

    def __init__(self, model: str, file: str) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - each peer imports its own engine alone
        from tokenizers import Tokenizer  # noqa: PLC0415

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def __call__(self, texts: list[str]) -> list[Prediction]:
        encodings = self._tokenizer.encode_batch_fast(texts)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        (logits,) = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        return predictions(logits)


class Torch:
    """transformers as its documentation shows, on one thread of float32."""

    def __init__(self, model: str) -> None:
        import torch  # noqa: PLC0415
        from transformers import (  # noqa: PLC0415
            AutoModelForSequenceClassification,
            AutoTokenizer,
        )

        torch.set_num_threads(1)
        self._inference_mode = torch.inference_mode
        self._tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        self._model = AutoModelForSequenceClassification.from_pretrained(
            model, trust_remote_code=False
        ).eval()

    def __call__(self, texts: list[str]) -> list[Prediction]:
        with self._inference_mode():
            inputs = self._tokenizer(
                texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            return predictions(self._model(**inputs).logits.numpy())


def predictions(logits: Any) -> list[Prediction]:
    """Return labels and softmax scores, highest first, of logits of shape [texts, labels]."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return [
        [{"label": LABELS[index], "score": float(row[index])} for index in np.argsort(row)[::-1]]
        for row in exponentials / exponentials.sum(axis=-1, keepdims=True)
    ]


def engine() -> Engine:
    """Load what the environment asks for."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    model = os.environ["PEER_MODEL"]
    if os.environ["PEER_ENGINE"] == "torch":
        return Torch(model)
    return OnnxInt8(model, os.environ["PEER_ONNX"])
