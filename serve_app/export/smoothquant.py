"""SmoothQuant: move large channels from a product's rows into its matrices.

A few channels of a LayerNormalization are many times larger than the others and would set the
int8 scale of the whole row. Each channel of x is divided by its factor in s [H]; the matching
rows of the matrices that multiply x are multiplied by the same factor. N tokens, H hidden units:

    before                                  after
    LayerNormalization = x      [N, H]      LayerNormalization = x      [N, H]
                                            Mul x_balance = 1 / s [H]   [N, H]
    MatMul query  [H, H]        [N, H]      MatMul query * s  [H, H]    [N, H]
    MatMul key    [H, H]        [N, H]      MatMul key * s    [H, H]    [N, H]
    MatMul value  [H, H]        [N, H]      MatMul value * s  [H, H]    [N, H]

    s = max|x| ** 0.75 / max|matrices| ** 0.25, each by channel

In exact arithmetic (x / s)(s * W) = x W. From SmoothQuant, section 4, with alpha = 0.75:
https://arxiv.org/abs/2211.10438; measured in docs/quantization.md.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

# Random tokens show which channels of a LayerNormalization are large, which hardly depends on
# the text. Only the balance between channels rests on them, never a range.
_SAMPLE_SHAPE: Final = (64, 24)
_ALPHA: Final = 0.75
_MIN_MAGNITUDE: Final = 1e-6

Floats = NDArray[np.float32]

# By the name of a value: the nodes that multiply it, and the matrices they multiply it by.
Products = dict[str, list[tuple[onnx.NodeProto, onnx.TensorProto]]]


def smooth(model: onnx.ModelProto, products: Products) -> None:
    """Smooth the rows that come from a LayerNormalization, in place.

    The nodes of the products, which will be quantized, get other inputs.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    names = [name for name in products if _is_normalized(name, producers)]
    for rows, magnitudes in _channel_magnitudes(model, names).items():
        matrices = [numpy_helper.to_array(tensor) for _, tensor in products[rows]]
        widest = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
        factors = magnitudes**_ALPHA / np.maximum(widest, _MIN_MAGNITUDE) ** (1 - _ALPHA)
        smoothed = f"{rows}_balanced"
        inverse = numpy_helper.from_array((1 / factors).astype(np.float32), f"{rows}_balance")
        graph.initializer.append(inverse)
        for (node, _), matrix in zip(products[rows], matrices, strict=True):
            node.input[0] = smoothed
            scaled = (matrix * factors[:, np.newaxis]).astype(np.float32)
            node.input[1] = f"{node.output[0]}_matrix"
            graph.initializer.append(numpy_helper.from_array(scaled, node.input[1]))
        after = list(graph.node).index(producers[rows]) + 1
        graph.node.insert(after, helper.make_node("Mul", [rows, inverse.name], [smoothed]))


def _is_normalized(name: str, producers: Mapping[str, onnx.NodeProto]) -> bool:
    """Tell whether a value has rows of a LayerNormalization, which the export may have gathered."""
    while (node := producers.get(name)) is not None and node.op_type == "Gather":
        name = node.input[0]
    return node is not None and node.op_type == "LayerNormalization"


def _channel_magnitudes(model: onnx.ModelProto, names: list[str]) -> dict[str, Floats]:
    """Return each value's largest magnitude by channel, over sequences of random tokens."""
    lookups = [node for node in model.graph.node if node.op_type == "Gather"]
    tables = {node.input[0] for node in lookups if node.input[1] == "input_ids"}
    vocabulary = [table.dims[0] for table in model.graph.initializer if table.name in tables]
    if not names or not vocabulary:
        return {}
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(0).integers(0, min(vocabulary), _SAMPLE_SHAPE)
    values = session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return {
        name: np.maximum(np.abs(value).max(axis=tuple(range(value.ndim - 1))), _MIN_MAGNITUDE)
        for name, value in zip(names, values, strict=True)
    }
