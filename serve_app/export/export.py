"""Export a Hugging Face sequence classifier to one fp32 ONNX file.

torch, transformers and onnxscript are imported inside the functions: they belong to the optional
`torch` extra, and a replica that serves a finished file does without them.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from serve_app.export.prune_last_layer import skip_unread_positions
from serve_app.export.remove_padding import skip_padding

if TYPE_CHECKING:
    import onnx_ir as ir

# QuantizeLinear with one scale a row, which quantization uses, exists from opset 21 on:
# https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
OPSET: Final = 21

# A protobuf message ends at 2 GiB; larger weights go to a second file beside the graph.
# https://protobuf.dev/programming-guides/proto-limits/
_LARGEST_WEIGHTS: Final = 2**31 - 2**24


def export_onnx(model_directory: Path, destination: Path) -> None:
    """Write the model as an fp32 ONNX graph with fused operators.

    Inputs are `input_ids` and `attention_mask`, int64 of shape [batch, sequence], both axes
    dynamic; the output is `logits`, float32 of shape [batch, labels]. Attention and GELU become
    ONNX Runtime's fused operators where the exported graph has the known patterns, and the last
    layer computes only the position that the classifier reads, and padding is left out of all that
    works on every token by itself. A graph without these patterns is written as it is.

    Args:
        model_directory: A Hugging Face directory with `config.json` and weights.
        destination: The file to write; its directory is made if it is missing.

    Raises:
        ImportError: The `torch` extra is not installed.
        OSError: A file cannot be read or written.
        ValueError: The directory has no known sequence classifier.
    """
    with _without_noise():
        model = _traced(model_directory)
        _fuse(model)
        skip_unread_positions(model.graph)
        skip_padding(model.graph)
        _write(model, destination)


def _traced(model_directory: Path) -> "ir.Model":
    """Return the graph as torch exports it, with eager attention, which the fusions know."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415

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


def _fuse(model: "ir.Model") -> None:
    """Replace known groups of operators by ONNX Runtime's fused ones.

    SkipLayerNormalization is left out on purpose: on CPU it takes several times as long as the
    Add and LayerNormalization that it replaces (docs/quantization.md).
    """
    from onnx_ir.passes import common  # noqa: PLC0415
    from onnxscript.optimizer import optimize  # noqa: PLC0415
    from onnxscript.rewriter.ort_fusions.bias_gelu import fuse_bias_gelu  # noqa: PLC0415
    from onnxscript.rewriter.ort_fusions.mha import fuse_mha1, fuse_mha2  # noqa: PLC0415
    from onnxscript.rewriter.ort_fusions.mha_bias import fuse_mha_bias  # noqa: PLC0415
    from onnxscript.rewriter.ort_fusions.sdpa import fuse_sdpa  # noqa: PLC0415
    from onnxscript.rewriter.ort_fusions.sdpa_via_mha import replace_sdpa_by_mha  # noqa: PLC0415

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


def _write(model: "ir.Model", destination: Path) -> None:
    import onnx_ir as ir  # noqa: PLC0415

    tensors = [value.const_value for value in model.graph.initializers.values()]
    weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    beside = f"{destination.name}.data" if weights > _LARGEST_WEIGHTS else None
    destination.parent.mkdir(parents=True, exist_ok=True)
    ir.save(model, destination, external_data=beside)


@contextmanager
def _without_noise() -> Iterator[None]:
    """Silence what torch and transformers say about themselves while they export."""
    from transformers.utils import logging as progress  # noqa: PLC0415

    # Says that torchvision is not installed, which no text classifier needs.
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level, bars = registration.level, progress.is_progress_bar_enabled()
    registration.setLevel(logging.ERROR)
    progress.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: ", UserWarning)
            yield
    finally:
        registration.setLevel(level)
        if bars:
            progress.enable_progress_bar()
