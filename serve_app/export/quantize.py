"""Quantize matrix products of an fp32 ONNX graph to int8, one scale for each row.

A row is one token. Its scale comes from its own values while the graph runs, so a text's scores
do not depend on the texts beside it. N tokens, a matrix W [K, M]:

    before                                  after
    x                      [N, K] fp32      x                           [N, K] fp32
                                            ReduceMax, ReduceMin, ...   [N, 1] fp32   max|x|
                                            Mul 1/127, Max 1e-12        [N, 1] fp32   scale
                                            QuantizeLinear (scale, 128) [N, K] uint8
    MatMul W [K, M] fp32   [N, M] fp32      MatMulIntegerToFloat        [N, M] fp32
                                              (W_int8 [K, M] int8, W_scales [M] fp32)
                                            Mul scale                   [N, M] fp32

Products of the same x share its quantized rows. After GELU, the zero point is 16 and the scale
max(x) / 239. From ZeroQuant, https://arxiv.org/abs/2206.01861; measured in docs/quantization.md.
"""

import itertools
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from serve_app.export.smoothquant import Floats, Products, smooth

# QuantizeLinear takes one scale for each row ("blocked quantization") from opset 21 on:
# https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
MIN_OPSET: Final = 21
_MICROSOFT: Final = "com.microsoft"

_MATRIX_RANK: Final = 2
# Errors of the first layers pass through all others, and most of them come from the feed-forward
# matrices, which are the ones that are not square: those of the first third stay fp32.
_SENSITIVE_SHARE: Final = 1 / 3

_INT8_MAX: Final = 127
# A row of zeros needs a scale too, and 1e-12 is far below what any layer computes.
_MIN_SCALE: Final = 1e-12

# Activations are unsigned with a constant zero point, since ONNX Runtime's fast x86 kernels
# multiply unsigned by signed. GELU never falls below -0.17, so its zero point can be low.
_ZERO_POINT: Final = 128
_GELU_ZERO_POINT: Final = 16
_GELU_MIN: Final = -0.17
_UINT8_MAX: Final = 255


def quantize_int8(fp32: Path, destination: Path) -> None:
    """Write a copy of the graph with most products with constant matrices in int8.

    The feed-forward products of the first third of the layers, products of two activations and
    the classifier's `Gemm` stay fp32. Embeddings are stored in half the memory, as fp16.
    Raises `ValueError` if the graph has an opset before 21, which `export_onnx` writes, and
    `OSError` if a file cannot be read or written.
    """
    model = onnx.load(fp32)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if opsets["ai.onnx"] < MIN_OPSET:
        raise ValueError(f"{fp32} has opset {opsets['ai.onnx']}; int8 needs {MIN_OPSET} or later")
    if _MICROSOFT not in opsets:
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    smooth(model, _quantizable(model.graph))
    _Quantizer(model.graph).rewrite()
    onnx.save(model, destination)


def _quantizable(graph: onnx.GraphProto) -> Products:
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


def quantized_weight(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Round a matrix to int8 with one scale a column.

    x86 without VNNI multiplies pairs of neighbours in a column by unsigned activations and adds
    the two products in a saturating int16 (VPMADDUBSW). The scale therefore keeps the sum of a
    pair's positive values, and of its negative ones, within 128: 255 * 128 < 2**15.

    Takes a matrix [inputs, outputs]; returns its int8 form and the scales [outputs].
    """
    even = np.pad(weight, ((0, weight.shape[0] % 2), (0, 0)))
    pairs = even.reshape(-1, 2, weight.shape[1])
    positive = np.maximum(pairs, 0).sum(axis=1).max(axis=0)
    negative = np.maximum(-pairs, 0).sum(axis=1).max(axis=0)
    # Rounding adds at most 0.5 to each of the two, which makes 127 into 128.
    scale = np.maximum(positive, negative) / _INT8_MAX
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


class _Rows(NamedTuple):
    """Names of a value's uint8 form [..., width], its scales [..., 1] and its zero point [1]."""

    values: str
    scale: str
    zero_point: str


class _Quantizer:
    """Replaces products with constant matrices by int8 products, in place."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._gelus = {n.output[0] for n in graph.node if n.op_type in ("BiasGelu", "Gelu")}
        self._nodes: list[onnx.NodeProto] = []
        self._rows: dict[str, _Rows] = {}
        self._constants: dict[str, onnx.TensorProto] = {}

    def rewrite(self) -> None:
        products = itertools.chain(*_quantizable(self._graph).values())
        matrices = {node.output[0]: tensor for node, tensor in products}
        tables = {
            t.name: t for t in self._graph.initializer if t.data_type == onnx.TensorProto.FLOAT
        }
        for node in self._graph.node:
            if node.output[0] in matrices:
                self._product(node, numpy_helper.to_array(matrices[node.output[0]]))
            elif node.op_type == "Gather" and node.input[0] in tables:
                self._look_up(node, numpy_helper.to_array(tables[node.input[0]]))
            else:
                self._nodes.append(node)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        self._graph.ClearField("node")
        self._graph.node.extend(self._nodes)
        self._graph.ClearField("initializer")
        self._graph.initializer.extend([*kept, *self._constants.values()])

    def _product(self, node: onnx.NodeProto, matrix: Floats) -> None:
        name, output = node.input[0], node.output[0]
        if name not in self._rows:
            self._rows[name] = self._quantized(name, matrix.shape[0])
        rows = self._rows[name]
        quantized, scales = quantized_weight(matrix)
        weight = self._constant(f"{output}_int8", quantized)
        one = self._constant("int8_one", np.float32(1))
        weight_scale = self._constant(f"{output}_scales", scales)
        inputs = [rows.values, weight, one, weight_scale, rows.zero_point]
        unscaled = self._emit(
            "MatMulIntegerToFloat", inputs, f"{output}_unscaled", domain=_MICROSOFT
        )
        self._emit("Mul", [unscaled, rows.scale], output)

    def _look_up(self, node: onnx.NodeProto, table: Floats) -> None:
        """Keep an embedding in fp16, which is exact where the model's weights are fp16 too."""
        if np.abs(table).max() > np.finfo(np.float16).max:
            self._nodes.append(node)
            return
        name, output = node.input[0], node.output[0]
        half = self._constant(f"{name}_fp16", table.astype(np.float16))
        found = self._emit("Gather", [half, node.input[1]], f"{output}_fp16")
        self._emit("Cast", [found], output, to=onnx.TensorProto.FLOAT)

    def _quantized(self, name: str, width: int) -> _Rows:
        if name in self._gelus:
            floor = _GELU_MIN / -_GELU_ZERO_POINT
            zero_point = self._constant("gelu_zero_point", np.uint8(_GELU_ZERO_POINT))
            reach = self._extreme("ReduceMax", name)
            steps = _UINT8_MAX - _GELU_ZERO_POINT
        else:
            floor = _MIN_SCALE
            zero_point = self._constant("int8_zero_point", np.uint8(_ZERO_POINT))
            highest, lowest = self._extreme("ReduceMax", name), self._extreme("ReduceMin", name)
            mirrored = self._emit("Neg", [lowest], f"{name}_mirrored")
            reach = self._emit("Max", [highest, mirrored], f"{name}_reach")
            steps = _INT8_MAX
        step = self._constant(f"int8_step_{steps}", np.float32(1 / steps))
        bare = self._emit("Mul", [reach, step], f"{name}_bare_scale")
        minimum = self._constant(f"int8_floor_{steps}", np.float32(floor))
        scale = self._emit("Max", [bare, minimum], f"{name}_scale")
        # The standard asks for a zero point in the shape of the scale.
        shape = self._emit("Shape", [scale], f"{name}_scale_shape")
        zeros = self._emit("Expand", [zero_point, shape], f"{name}_zeros")
        values = self._emit(
            "QuantizeLinear", [name, scale, zeros], f"{name}_uint8", axis=-1, block_size=width
        )
        return _Rows(values, scale, zero_point)

    def _extreme(self, operator: str, name: str) -> str:
        axis = self._constant("last_axis", np.array([-1], dtype=np.int64))
        return self._emit(operator, [name, axis], f"{name}_{operator}", keepdims=1)

    def _constant(self, name: str, array: NDArray[np.generic] | np.generic) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(array), name))
        return name

    def _emit(
        self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        node = helper.make_node(operator, inputs, [output], domain=domain, **attributes)
        self._nodes.append(node)
        return output
