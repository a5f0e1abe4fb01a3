"""Prune the last layer to the one position that the classifier reads.

A BERT-like classifier reads one position of the last hidden state. The Gather that selects it
moves up the graph, past operators that work on each position by itself; in the last layer only
keys and values are then computed for all positions. B texts, S positions, H hidden units:

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
"""

from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

# Operators that work on every position by itself, wherever it lies.
POSITION_WISE: Final = frozenset(
    {"Add", "BiasGelu", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Tanh"}
)
_HIDDEN_RANK: Final = 3
# The inputs of com.microsoft.MultiHeadAttention up to the attention bias:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_QUERY, _PADDING_MASK, _ATTENTION_BIAS, _ATTENTION_INPUTS = 0, 4, 5, 6
_ATTENTION_BIAS_RANK: Final = 4


def prune_last_layer(graph: ir.Graph) -> None:
    """Compute the last layer's queries, feed-forward and normalization for one position.

    Args:
        graph: The graph to change in place; its values have shapes. It stays as it is where no
            Gather selects one position of a hidden state.
    """
    for select in [node for node in graph if _selects_one_position(node)]:
        _GatherMover(graph, select).move_up()


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
    """Moves one Gather on the sequence axis towards the inputs of a graph.

    Args:
        graph: The graph to change.
        select: The Gather, whose output lacks the sequence axis.
    """

    def __init__(self, graph: ir.Graph, select: ir.Node) -> None:
        self._graph = graph
        # By the value of which they take one position.
        self._gathers: dict[ir.Value, ir.Node] = {}
        hidden, index = select.inputs
        assert index is not None and index.const_value is not None
        name = select.outputs[0].name
        self._index = self._constant(f"{name}_index", index.const_value.numpy().reshape(1))
        axis = self._constant(f"{name}_axis", np.array([1], dtype=np.int64))
        squeeze = ir.node("Squeeze", [self._gathered(hidden), axis])
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
        return producer.op_type in POSITION_WISE and all(
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

    def _constant(self, name: str, array: NDArray[np.int64]) -> ir.Value:
        value = ir.val(name, const_value=ir.tensor(array))
        self._graph.register_initializer(value)
        return value


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else value.shape.rank()
