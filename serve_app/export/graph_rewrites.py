"""Rewrites of an exported graph that leave out what no score depends on.

B texts, S positions, N tokens (N <= B * S), H hidden units.

`prune_last_layer`: a BERT-like classifier reads one position of the last hidden state. The Gather
that selects it moves up the graph, past operators that work on each position by itself; in the last
layer only keys and values are then computed for all positions.

    before                                  after
    layer_norm_10               [B, S, H]   layer_norm_10               [B, S, H]
                                            Gather(axis=1, [0])         [B, 1, H]
    MatMul query                [B, S, H]   MatMul query                [B, 1, H]
    MatMul key, MatMul value    [B, S, H]   MatMul key, MatMul value    [B, S, H]
    MultiHeadAttention          [B, S, H]   MultiHeadAttention          [B, 1, H]
    Add, LayerNormalization     [B, S, H]   Add, LayerNormalization     [B, 1, H]
    MatMul, BiasGelu            [B, S, 4H]  MatMul, BiasGelu            [B, 1, 4H]
    Add, LayerNormalization     [B, S, H]   Add, LayerNormalization     [B, 1, H]
    Gather(axis=1, 0)           [B, H]      Squeeze(axis=1)             [B, H]

The idea is ONNX Runtime's UpStreamGather, which its builds for training alone have:
https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/optimizer/compute_optimizer/upstream_gather.h

`remove_padding`: operators that work on each token by itself need no rectangle of texts. Their
input becomes the tokens of all texts, end to end.

    before                                  after
    Add embeddings              [B, S, H]   Add embeddings              [B, S, H]
                                            Reshape, Gather(tokens)     [N, H]
    LayerNormalization          [B, S, H]   LayerNormalization          [N, H]
    MatMul query, key, value    [B, S, H]   MatMul query, key, value    [N, H]
                                            Gather(positions)           [B, S, H]
    MultiHeadAttention          [B, S, H]   MultiHeadAttention          [B, S, H]
                                            Reshape, Gather(tokens)     [N, H]
    MatMul, Add, BiasGelu, ...  [B, S, H]   MatMul, Add, BiasGelu, ...  [N, H]

`tokens` [N] is NonZero(attention_mask); `positions` [B, S] is CumSum(attention_mask) - 1, the row
of each token. Attention sees a neighbouring token in place of padding, and its mask hides both. The
idea is Effective Transformer's, here in standard operators:
https://github.com/bytedance/effective_transformer
"""

from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

# Operators that work on every position by itself, wherever it lies.
_POSITION_WISE: Final = frozenset(
    {"Add", "BiasGelu", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Tanh"}
)
_MATRIX_RANK: Final = 2
_HIDDEN_RANK: Final = 3
# The inputs of com.microsoft.MultiHeadAttention up to the attention bias:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_QUERY, _PADDING_MASK, _ATTENTION_BIAS, _ATTENTION_INPUTS = 0, 4, 5, 6
_ATTENTION_BIAS_RANK: Final = 4


def prune_last_layer(graph: ir.Graph) -> None:
    """Compute the last layer's queries, feed-forward and normalization for one position.

    The values of the graph have shapes. It stays as it is where no Gather selects one position of a
    hidden state.
    """
    for select in [node for node in graph if _selects_one_position(node)]:
        _GatherMover(graph, select).move_up()


def remove_padding(graph: ir.Graph) -> None:
    """Let operators that work on each token by itself see tokens only.

    The graph has the input `attention_mask` of shape [batch, sequence]; its values have shapes.
    """
    mask = next((value for value in graph.inputs if value.name == "attention_mask"), None)
    if mask is not None:
        remover = _PaddingRemover(graph, mask)
        for node in list(graph):
            remover.visit(node)


def _constant(graph: ir.Graph, *content: int) -> ir.Value:
    """Return an int64 vector of the graph, one for all that need the same."""
    name = "int64_" + "_".join(map(str, content))
    if name not in graph.initializers:
        tensor = ir.tensor(np.array(content, dtype=np.int64))
        graph.register_initializer(ir.val(name, const_value=tensor))
    return graph.initializers[name]


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else value.shape.rank()


def _selects_one_position(node: ir.Node) -> bool:
    if node.op_type != "Gather" or node.attributes.get_int("axis", 0) != 1:
        return False
    hidden, index = node.inputs
    return (
        _rank(hidden) == _HIDDEN_RANK
        and index is not None
        and index.const_value is not None
        and index.const_value.numpy().ndim == 0
    )


class _GatherMover:
    """Moves one Gather on the sequence axis, whose output lacks it, towards a graph's inputs."""

    def __init__(self, graph: ir.Graph, select: ir.Node) -> None:
        self._graph = graph
        # By the value of which they take one position.
        self._gathers: dict[ir.Value, ir.Node] = {}
        hidden, index = select.inputs
        assert index is not None and index.const_value is not None
        self._index = _constant(graph, index.const_value.numpy().item())
        squeeze = ir.node("Squeeze", [self._gathered(hidden), _constant(graph, 1)])
        ir.convenience.replace_nodes_and_values(
            graph, select, [select], [squeeze], select.outputs, squeeze.outputs
        )

    def move_up(self) -> None:
        while value := next(filter(self._movable, self._gathers), None):
            self._move(value)

    def _movable(self, value: ir.Value) -> bool:
        """Tell whether the Gather of a value can move before the node that computes the value."""
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

    def _move(self, value: ir.Value) -> None:
        gather, producer = self._gathers.pop(value), value.producer()
        assert producer is not None and value.shape is not None
        if producer.op_type == "MultiHeadAttention":
            axes = {_QUERY: 1, _ATTENTION_BIAS: 2}
        else:
            inputs = enumerate(producer.inputs)
            axes = {index: 1 for index, item in inputs if item and item.const_value is None}
        for index, axis in axes.items():
            producer.replace_input_with(index, self._gathered(producer.inputs[index], axis))
        value.shape = ir.Shape([value.shape[0], 1, value.shape[2]])
        gather.outputs[0].replace_all_uses_with(value)
        self._graph.remove(gather, safe=True)

    def _gathered(self, value: ir.Value | None, axis: int = 1) -> ir.Value:
        """Return one position of a value, with an axis of length one."""
        assert value is not None
        if value not in self._gathers:
            gather = ir.node("Gather", [value, self._index], attributes={"axis": axis})
            producer = value.producer()
            assert producer is not None
            self._graph.insert_after(producer, gather)
            self._gathers[value] = gather
        return self._gathers[value].outputs[0]


class _PaddingRemover:
    """Removes the padding of one node after another.

    The mask [batch, sequence] is one where there is a token.
    """

    def __init__(self, graph: ir.Graph, mask: ir.Value) -> None:
        assert mask.shape is not None
        self._graph = graph
        self._mask = mask
        self._positions = list(mask.shape)
        # Both by the value of the node; a value without padding is its own in `_tokens`.
        self._tokens: dict[ir.Value, ir.Value] = {}
        self._padded: dict[ir.Value, ir.Value] = {}

    def visit(self, node: ir.Node) -> None:
        if self._is_token_wise(node):
            for index, value in enumerate(node.inputs):
                if value is not None and value.const_value is None:
                    node.replace_input_with(index, self._without_padding(value, node))
            (output,) = node.outputs
            assert output.shape is not None
            output.shape = ir.Shape(["tokens", output.shape[2]])
            self._tokens[output] = output
            return
        for index, value in enumerate(node.inputs):
            if value is not None and self._tokens.get(value) is value:
                node.replace_input_with(index, self._with_padding(value, node))

    def _is_token_wise(self, node: ir.Node) -> bool:
        if node.op_type not in _POSITION_WISE or len(node.outputs) != 1:
            return False
        if node.attributes.get_int("axis", -1) != -1 or node.outputs[0].is_graph_output():
            return False
        constants = [value for value in node.inputs if value and value.const_value is not None]
        rows = [value for value in node.inputs if value and value.const_value is None]
        # A constant of a higher rank could hold something else for each position.
        max_rank = _MATRIX_RANK if node.op_type == "MatMul" else 1
        return all(self._is_hidden(value) for value in [*rows, *node.outputs]) and all(
            value.shape is not None and value.shape.rank() <= max_rank for value in constants
        )

    def _is_hidden(self, value: ir.Value) -> bool:
        """Tell whether a value is, or was, of shape [batch, sequence, a constant]."""
        if value in self._tokens:
            return True
        shape = value.shape
        return (
            shape is not None
            and shape.rank() == _HIDDEN_RANK
            and list(shape[:-1]) == self._positions
            and isinstance(shape[-1], int)
        )

    def _without_padding(self, value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in self._tokens:
            assert value.shape is not None
            width = value.shape[2]
            assert isinstance(width, int)
            shape = _constant(self._graph, -1, width)
            rows = self._emit("Reshape", [value, shape], before)
            self._tokens[value] = self._emit("Gather", [rows, self._indices[0]], before, axis=0)
        return self._tokens[value]

    def _with_padding(self, value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in self._padded:
            self._padded[value] = self._emit("Gather", [value, self._indices[1]], before, axis=0)
        return self._padded[value]

    @cached_property
    def _indices(self) -> tuple[ir.Value, ir.Value]:
        """The values `tokens` and `positions` of the module's docstring."""
        graph, before = self._graph, self._graph[0]
        zero, one = _constant(graph, 0), _constant(graph, 1)
        mask = self._emit("Reshape", [self._mask, _constant(graph, -1)], before)
        tokens = self._emit("Squeeze", [self._emit("NonZero", [mask], before), zero], before)
        count = self._emit("CumSum", [mask, zero], before)
        shape = self._emit("Shape", [self._mask], before)
        index = self._emit("Sub", [count, one], before)
        return tokens, self._emit("Reshape", [index, shape], before)

    def _emit(
        self, operator: str, inputs: list[ir.Value], before: ir.Node, **attributes: int
    ) -> ir.Value:
        node = ir.node(operator, inputs, attributes=attributes)
        self._graph.insert_before(before, node)
        return node.outputs[0]
