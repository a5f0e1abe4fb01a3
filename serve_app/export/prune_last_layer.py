"""Compute only the position that the classifier reads, instead of the whole last layer."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import onnx_ir as ir

# Operators that work on every position by itself, wherever it lies.
POSITION_WISE: Final = frozenset(
    {"Add", "BiasGelu", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Tanh"}
)
_HIDDEN_RANK: Final = 3
# The inputs of com.microsoft.MultiHeadAttention up to the attention bias:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_QUERY, _PADDING_MASK, _ATTENTION_BIAS, _ATTENTION_INPUTS = 0, 4, 5, 6
_ATTENTION_BIAS_RANK: Final = 4


def skip_unread_positions(graph: "ir.Graph") -> None:
    """Move the choice of the one position that the classifier reads towards the inputs.

    The classifier reads one position of the last hidden state, so of the last layer only keys
    and values need the others. A Gather on the sequence axis is moved before its producer as
    long as nothing else reads the producer's output.

    Args:
        graph: The graph to change in place.
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
        return producer.op_type in POSITION_WISE and all(
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
