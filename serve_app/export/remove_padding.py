"""Remove the padding of a batch outside attention.

Operators that work on each token by itself need no rectangle of texts: their input becomes the
tokens of all texts, end to end. B texts, S positions, N tokens (N <= B * S), H hidden units:

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
of each token. Attention sees a neighbouring token in place of padding, and its mask hides both.

The idea is Effective Transformer's, here in standard operators:
https://github.com/bytedance/effective_transformer
"""

from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from serve_app.export.prune_last_layer import POSITION_WISE

_MASK: Final = "attention_mask"
_MATRIX_RANK: Final = 2


def remove_padding(graph: ir.Graph) -> None:
    """Let operators that work on each token by itself see tokens only.

    Args:
        graph: The graph to change in place, with the input `attention_mask` of shape
            [batch, sequence]; its values have shapes.
    """
    mask = next((value for value in graph.inputs if value.name == _MASK), None)
    if mask is not None:
        remover = _PaddingRemover(graph, mask)
        for node in list(graph):
            remover.visit(node)


class _PaddingRemover:
    """Removes the padding of one node after another.

    Args:
        graph: The graph to change.
        mask: One where there is a token, of shape [batch, sequence].
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
        if node.op_type not in POSITION_WISE or len(node.outputs) != 1:
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
            and shape.rank() == len(self._positions) + 1
            and list(shape[:-1]) == self._positions
            and isinstance(shape[-1], int)
        )

    def _without_padding(self, value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in self._tokens:
            assert value.shape is not None
            width = value.shape[2]
            assert isinstance(width, int)
            tokens, _ = self._indices
            rows = self._emit("Reshape", [value, self._constant(-1, width)], before)
            self._tokens[value] = self._emit("Gather", [rows, tokens], before, axis=0)
        return self._tokens[value]

    def _with_padding(self, value: ir.Value, before: ir.Node) -> ir.Value:
        if value not in self._padded:
            self._padded[value] = self._emit("Gather", [value, self._indices[1]], before, axis=0)
        return self._padded[value]

    @cached_property
    def _indices(self) -> tuple[ir.Value, ir.Value]:
        """The values `tokens` and `positions` of the module's docstring."""
        before, zero = self._graph[0], self._constant(0)
        mask = self._emit("Reshape", [self._mask, self._constant(-1)], before)
        tokens = self._emit("Squeeze", [self._emit("NonZero", [mask], before), zero], before)
        count = self._emit("CumSum", [mask, zero], before)
        shape = self._emit("Shape", [self._mask], before)
        index = self._emit("Sub", [count, self._constant(1)], before)
        return tokens, self._emit("Reshape", [index, shape], before)

    def _emit(
        self, operator: str, inputs: list[ir.Value], before: ir.Node, **attributes: int
    ) -> ir.Value:
        node = ir.node(operator, inputs, attributes=attributes)
        self._graph.insert_before(before, node)
        return node.outputs[0]

    def _constant(self, *content: int) -> ir.Value:
        name = "int64_" + "_".join(map(str, content))
        if name not in self._graph.initializers:
            tensor = ir.tensor(np.array(content, dtype=np.int64))
            self._graph.register_initializer(ir.val(name, const_value=tensor))
        return self._graph.initializers[name]
