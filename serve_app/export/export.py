"""Export a Hugging Face sequence classifier to one fp32 ONNX file, with the extra `torch`."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir
import torch
from onnx_ir.passes import common
from onnxscript.optimizer import optimize
from onnxscript.rewriter.ort_fusions.bias_gelu import fuse_bias_gelu
from onnxscript.rewriter.ort_fusions.mha import fuse_mha1, fuse_mha2
from onnxscript.rewriter.ort_fusions.mha_bias import fuse_mha_bias
from onnxscript.rewriter.ort_fusions.sdpa import fuse_sdpa
from onnxscript.rewriter.ort_fusions.sdpa_via_mha import replace_sdpa_by_mha

from serve_app.engine.checkpoint import load_classifier
from serve_app.export.graph_rewrites import prune_last_layer, remove_padding
from serve_app.export.quantize import MIN_OPSET


def export_onnx(model_directory: Path, destination: Path) -> None:
    """Write the model as an fp32 ONNX graph with fused operators.

    Inputs are `input_ids` and `attention_mask`, int64 of shape [batch, sequence], both axes
    dynamic; the output is `logits`, float32 of shape [batch, labels]. Attention and GELU become
    ONNX Runtime's fused operators, the last layer is pruned, and padding is removed outside
    attention, each where the exported graph has the known patterns.

    Raises `ModelUnusable` if the directory has no known sequence classifier with all of its
    weights, and `OSError` if a file cannot be read or written.
    """
    with _quiet():
        model = _trace(model_directory)
        _fuse(model)
        prune_last_layer(model.graph)
        remove_padding(model.graph)
        ir.save(model, destination)


def _trace(model_directory: Path) -> ir.Model:
    """Return the graph as torch exports it, with eager attention, which the fusions know."""
    classifier = load_classifier(
        model_directory, attn_implementation="eager", dtype=torch.float32
    ).eval()
    classifier.config.use_cache = False
    # A batch or a length of one would be taken for a constant.
    ids = torch.ones((2, 7), dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    program = torch.onnx.export(
        classifier,
        kwargs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        opset_version=MIN_OPSET,
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


@contextmanager
def _quiet() -> Iterator[None]:
    # This logger warns that torchvision is not installed, which text classifiers do without.
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: ", UserWarning)
            yield
    finally:
        registration.setLevel(level)
