"""Export a Hugging Face sequence classifier to one fp32 ONNX file.

torch, transformers and onnxscript belong to the optional `torch` extra: a replica that serves a
finished file does not import this module.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx_ir as ir
import torch
from onnx_ir.passes import common
from onnxscript.optimizer import optimize
from onnxscript.rewriter.ort_fusions.bias_gelu import fuse_bias_gelu
from onnxscript.rewriter.ort_fusions.mha import fuse_mha1, fuse_mha2
from onnxscript.rewriter.ort_fusions.mha_bias import fuse_mha_bias
from onnxscript.rewriter.ort_fusions.sdpa import fuse_sdpa
from onnxscript.rewriter.ort_fusions.sdpa_via_mha import replace_sdpa_by_mha
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging as progress_bars

from serve_app.export.prune_last_layer import prune_last_layer
from serve_app.export.remove_padding import remove_padding

# QuantizeLinear with one scale a row, which quantization uses, exists from opset 21 on:
# https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
OPSET: Final = 21

# A protobuf message ends at 2 GiB; larger weights go to a second file beside the graph.
# https://protobuf.dev/programming-guides/proto-limits/
_MAX_GRAPH_BYTES: Final = 2**31 - 2**24


def export_onnx(model_directory: Path, destination: Path) -> None:
    """Write the model as an fp32 ONNX graph with fused operators.

    Inputs are `input_ids` and `attention_mask`, int64 of shape [batch, sequence], both axes
    dynamic; the output is `logits`, float32 of shape [batch, labels]. Attention and GELU become
    ONNX Runtime's fused operators, the last layer is pruned, and padding is removed outside
    attention, each where the exported graph has the known patterns.

    Args:
        model_directory: A Hugging Face directory with `config.json` and weights.
        destination: The file to write; its directory is made if it is missing.

    Raises:
        ImportError: The `torch` extra is not installed.
        OSError: A file cannot be read or written.
        ValueError: The directory has no known sequence classifier.
    """
    with _quiet():
        model = _trace(model_directory)
        _fuse(model)
        prune_last_layer(model.graph)
        remove_padding(model.graph)
        _write(model, destination)


def _trace(model_directory: Path) -> ir.Model:
    """Return the graph as torch exports it, with eager attention, which the fusions know."""
    classifier = AutoModelForSequenceClassification.from_pretrained(
        str(model_directory),
        attn_implementation="eager",
        dtype=torch.float32,
        local_files_only=True,
    ).eval()
    # A batch or a length of one would be taken for a constant.
    ids = torch.ones((2, 7), dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    program = torch.onnx.export(
        classifier,
        kwargs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model: ir.Model = program.model
    return model


def _fuse(model: ir.Model) -> None:
    """Replace known groups of operators by ONNX Runtime's fused ones.

    SkipLayerNormalization is left out on purpose: on CPU it takes several times as long as the
    Add and LayerNormalization that it replaces (docs/quantization.md).
    """
    common.ShapeInferencePass()(model)
    optimize(model)
    common.CommonSubexpressionEliminationPass()(model)
    fuse_sdpa(model, apply_shape_inference=True)
    if fuse_mha1(model) + fuse_mha2(model):
        fuse_mha_bias(model)
    replace_sdpa_by_mha(model)
    fuse_bias_gelu(model)
    optimize(model)
    # Exporter notes hold paths of the machine that exported.
    common.ClearMetadataAndDocStringPass()(model)


def _write(model: ir.Model, destination: Path) -> None:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    data_file = f"{destination.name}.data" if weights > _MAX_GRAPH_BYTES else None
    destination.parent.mkdir(parents=True, exist_ok=True)
    ir.save(model, destination, external_data=data_file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings and progress bars of torch and transformers."""
    # It warns that torchvision is not installed, which text classifiers do without.
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level, enabled = registration.level, progress_bars.is_progress_bar_enabled()
    registration.setLevel(logging.ERROR)
    progress_bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: ", UserWarning)
            yield
    finally:
        registration.setLevel(level)
        if enabled:
            progress_bars.enable_progress_bar()
