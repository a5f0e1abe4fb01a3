"""Export a Hugging Face sequence classifier to one fp32 ONNX file.

torch, transformers and onnxscript are imported inside the functions: they belong to the optional
`torch` extra, and a replica that serves a finished file does without them.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import onnx_ir as ir

# QuantizeLinear with one scale a row, which quantization uses, exists from opset 21 on:
# https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
OPSET: Final = 21

# A protobuf message ends at 2 GiB; larger weights go to a second file beside the graph.
# https://protobuf.dev/programming-guides/proto-limits/
_LARGEST_WEIGHTS: Final = 2**31 - 2**24

# Operators that work on every position by itself, so reading one position commutes with them.
_POSITION_WISE: Final = frozenset(
    {"Add", "BiasGelu", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Tanh"}
)
_HIDDEN_RANK: Final = 3
# The inputs of com.microsoft.MultiHeadAttention up to the attention bias:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_QUERY, _PADDING_MASK, _ATTENTION_BIAS, _ATTENTION_INPUTS = 0, 4, 5, 6
_ATTENTION_BIAS_RANK: Final = 4


def export_onnx(model_directory: Path, destination: Path) -> None:
    """Write the model as an fp32 ONNX graph with fused operators.

    Inputs are `input_ids` and `attention_mask`, int64 of shape [batch, sequence], both axes
    dynamic; the output is `logits`, float32 of shape [batch, labels]. Attention and GELU become
    ONNX Runtime's fused operators where the exported graph has the known patterns, and the last
    layer computes only the position that the classifier reads. A graph without these patterns
    is written as it is.

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
        _skip_unread_positions(model.graph)
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


def _skip_unread_positions(graph: "ir.Graph") -> None:
    """Move the choice of the one position that the classifier reads towards the inputs.

    The classifier reads one position of the last hidden state, so of the last layer only keys
    and values need the others. A Gather on the sequence axis is moved before its producer as
    long as nothing else reads the producer's output.
    """
    for read in [node for node in graph if _reads_one_position(node)]:
        mover = _Mover(graph, read)
        while mover.step():
            pass


def _reads_one_position(node: "ir.Node") -> bool:
    """Tell whether the node takes one position, [batch, hidden], of a hidden state."""
    if node.op_type != "Gather" or node.attributes.get_int("axis", 0) != 1:
        return False
    hidden, index = node.inputs
    return (
        _rank(hidden) == _HIDDEN_RANK
        and index is not None
        and index.const_value is not None
        and index.const_value.numpy().ndim == 0
    )


class _Mover:
    """Moves one Gather on the sequence axis up the graph, one producer a step.

    Args:
        graph: The graph to change.
        read: The Gather, whose result lacks the sequence axis.
    """

    def __init__(self, graph: "ir.Graph", read: "ir.Node") -> None:
        import numpy as np  # noqa: PLC0415
        import onnx_ir as ir  # noqa: PLC0415

        self._ir = ir
        self._graph = graph
        self._gathers: dict[ir.Value, ir.Node] = {}
        hidden, index = read.inputs
        assert hidden is not None
        assert index is not None and index.const_value is not None
        name = read.outputs[0].name
        self._index = self._constant(f"{name}_index", index.const_value.numpy().reshape(1))
        axis = self._constant(f"{name}_axis", np.array([1], dtype=np.int64))
        squeeze = ir.node("Squeeze", [self._gathered(hidden), axis])
        graph.insert_before(read, squeeze)
        self._replace(read, squeeze)

    def step(self) -> bool:
        """Move a Gather before its producer; False when none can be moved."""
        for value, gather in list(self._gathers.items()):
            if self._movable(value):
                del self._gathers[value]
                self._move(value, gather)
                return True
        return False

    def _movable(self, value: "ir.Value") -> bool:
        producer = value.producer()
        if producer is None or value.is_graph_output() or len(value.uses()) != 1:
            return False
        inputs = producer.inputs
        if producer.op_type == "MultiHeadAttention":
            return (
                len(inputs) == _ATTENTION_INPUTS
                and inputs[_PADDING_MASK] is None
                and _rank(inputs[_ATTENTION_BIAS]) == _ATTENTION_BIAS_RANK
            )
        # A constant with three axes could hold something else for each position.
        return producer.op_type in _POSITION_WISE and all(
            item is None or (_rank(item) == _HIDDEN_RANK) == (item.const_value is None)
            for item in inputs
        )

    def _move(self, value: "ir.Value", gather: "ir.Node") -> None:
        producer = value.producer()
        assert producer is not None
        inputs: list[ir.Value | None] = list(producer.inputs)
        if producer.op_type == "MultiHeadAttention":
            query, bias = inputs[_QUERY], inputs[_ATTENTION_BIAS]
            assert query is not None and bias is not None
            inputs[_QUERY] = self._gathered(query)
            inputs[_ATTENTION_BIAS] = self._gathered(bias, axis=2)
        else:
            inputs = [
                item if item is None or item.const_value is not None else self._gathered(item)
                for item in inputs
            ]
        narrow = self._ir.node(
            producer.op_type,
            inputs,
            attributes=producer.attributes.copy(),
            domain=producer.domain,
        )
        self._graph.insert_before(producer, narrow)
        self._replace(gather, narrow)
        self._graph.remove(producer, safe=True)

    def _gathered(self, value: "ir.Value", axis: int = 1) -> "ir.Value":
        """Return the one position of a value, its axis kept with length one."""
        if value not in self._gathers:
            gather = self._ir.node("Gather", [value, self._index], attributes={"axis": axis})
            producer = value.producer()
            assert producer is not None
            self._graph.insert_after(producer, gather)
            self._gathers[value] = gather
        return self._gathers[value].outputs[0]

    def _replace(self, old: "ir.Node", new: "ir.Node") -> None:
        new.outputs[0].name = old.outputs[0].name
        new.outputs[0].shape, new.outputs[0].type = old.outputs[0].shape, old.outputs[0].type
        old.outputs[0].replace_all_uses_with(new.outputs[0])
        self._graph.remove(old, safe=True)

    def _constant(self, name: str, array: Any) -> "ir.Value":
        value = self._ir.val(name, const_value=self._ir.tensor(array))
        self._graph.register_initializer(value)
        return value


def _rank(value: "ir.Value | None") -> int | None:
    return None if value is None or value.shape is None else value.shape.rank()


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
