"""Which products become int8, and how their rows are evened out before.

docs/quantization.md has the measurements behind the choices made here.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_MATRIX_RANK: Final = 2
# Errors of the first layers pass through all others, and most of them come from the feed-forward
# matrices, which are the ones that are not square: those of the first third stay fp32.
_SENSITIVE_SHARE: Final = 1 / 3

# Random tokens show which channels of a LayerNormalization are large, which hardly depends on
# the text. Only the balance between channels rests on them, never a range.
_PROBE_SHAPE: Final = (64, 24)
# SmoothQuant's alpha: how much of a channel's range moves from the rows into the matrix.
# https://arxiv.org/abs/2211.10438, section 4
_MIGRATION: Final = 0.75
_SMALLEST_REACH: Final = 1e-6

_Float = NDArray[np.float32]

# By the name of a value: the nodes that multiply it, and the matrices they multiply it by.
Products = dict[str, list[tuple[onnx.NodeProto, onnx.TensorProto]]]


def quantizable(graph: onnx.GraphProto) -> Products:
    """Return the products to quantize, by the name of the value that is multiplied."""
    matrices = {
        tensor.name: tensor
        for tensor in graph.initializer
        if len(tensor.dims) == _MATRIX_RANK and tensor.data_type == onnx.TensorProto.FLOAT
    }
    nodes = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in matrices]
    sensitive = int(len(nodes) * _SENSITIVE_SHARE)
    products: Products = {}
    for position, node in enumerate(nodes):
        matrix = matrices[node.input[1]]
        if position >= sensitive or matrix.dims[0] == matrix.dims[1]:
            products.setdefault(node.input[0], []).append((node, matrix))
    return products


def balance_channels(model: onnx.ModelProto) -> None:
    """Divide the large channels of normalized rows, and multiply the matrices' rows, alike.

    A few channels of a LayerNormalization are many times larger than the others and would set
    the scale of the whole row. In exact arithmetic the graph computes what it did before.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    products = {
        rows: readers
        for rows, readers in quantizable(graph).items()
        if _is_normalized(rows, producers)
    }
    for rows, reach in _channel_reach(model, list(products)).items():
        matrices = [numpy_helper.to_array(tensor) for _, tensor in products[rows]]
        widest = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
        balance = reach**_MIGRATION / np.maximum(widest, _SMALLEST_REACH) ** (1 - _MIGRATION)
        balanced = f"{rows}_balanced"
        factor = (1 / balance).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(factor, f"{rows}_balance"))
        for (node, _), matrix in zip(products[rows], matrices, strict=True):
            node.input[0] = balanced
            scaled = (matrix * balance[:, np.newaxis]).astype(np.float32)
            node.input[1] = f"{node.output[0]}_matrix"
            graph.initializer.append(numpy_helper.from_array(scaled, node.input[1]))
        after = list(graph.node).index(producers[rows]) + 1
        graph.node.insert(after, helper.make_node("Mul", [rows, f"{rows}_balance"], [balanced]))


def _is_normalized(name: str, producers: Mapping[str, onnx.NodeProto]) -> bool:
    """Tell whether a value has rows of a LayerNormalization, which the export may have gathered."""
    while (node := producers.get(name)) is not None and node.op_type == "Gather":
        name = node.input[0]
    return node is not None and node.op_type == "LayerNormalization"


def _channel_reach(model: onnx.ModelProto, names: list[str]) -> dict[str, _Float]:
    """Return each value's largest magnitude by channel, over sequences of random tokens."""
    lookups = [node for node in model.graph.node if node.op_type == "Gather"]
    tables = {node.input[0] for node in lookups if node.input[1] == "input_ids"}
    vocabulary = [table.dims[0] for table in model.graph.initializer if table.name in tables]
    if not names or not vocabulary:
        return {}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(0).integers(0, min(vocabulary), _PROBE_SHAPE)
    values = session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return {
        name: np.maximum(np.abs(value).max(axis=tuple(range(value.ndim - 1))), _SMALLEST_REACH)
        for name, value in zip(names, values, strict=True)
    }
