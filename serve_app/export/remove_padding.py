"""Compute no padding: outside attention, the tokens of a batch lie end to end."""

from typing import TYPE_CHECKING, Any, Final

from serve_app.export.prune_last_layer import POSITION_WISE

if TYPE_CHECKING:
    import onnx_ir as ir

_MASK: Final = "attention_mask"
_MATRIX_RANK: Final = 2


def skip_padding(graph: "ir.Graph") -> None:
    """Let whatever works on every token by itself see tokens only, and no padding.

    Values of shape [batch, sequence, hidden] become [tokens, hidden] between two operators that
    need to know where a text begins and ends; what these read where the mask is zero is a
    neighbouring token. The idea is that of Effective Transformer
    (https://github.com/bytedance/effective_transformer), with standard operators.

    Args:
        graph: The graph to change in place, with the input `attention_mask` of shape
            [batch, sequence]; its values have shapes.
    """
    mask = next((value for value in graph.inputs if value.name == _MASK), None)
    if mask is not None:
        packer = _Packer(graph, mask)
        for node in list(graph):
            packer.visit(node)


class _Packer:
    """Takes the padding out of one node after another.

    Args:
        graph: The graph to change.
        mask: One where there is a token, of shape [batch, sequence].
    """

    def __init__(self, graph: "ir.Graph", mask: "ir.Value") -> None:
        import onnx_ir as ir  # noqa: PLC0415

        self._ir = ir
        self._graph = graph
        self._mask = mask
        self._first = graph[0]
        self._constants: dict[str, ir.Value] = {}
        # The tokens of a value, which are the value itself where it has no padding any more.
        self._tokens: dict[ir.Value, ir.Value] = {}
        self._padded: dict[ir.Value, ir.Value] = {}
        self._where: tuple[ir.Value, ir.Value] | None = None

    def visit(self, node: "ir.Node") -> None:
        """Let a node see tokens only if it works on each by itself, else what it saw before."""
        if self._token_wise(node):
            for index, value in enumerate(node.inputs):
                if value is not None and value.const_value is None:
                    node.replace_input_with(index, self._without_padding(value, node))
            (output,) = node.outputs
            assert output.shape is not None
            output.shape = self._ir.Shape(["tokens", output.shape[2]])
            self._tokens[output] = output
            return
        for index, value in enumerate(node.inputs):
            if value is not None and self._tokens.get(value) is value:
                node.replace_input_with(index, self._with_padding(value, node))

    def _token_wise(self, node: "ir.Node") -> bool:
        if node.op_type not in POSITION_WISE or len(node.outputs) != 1:
            return False
        if node.attributes.get_int("axis", -1) != -1 or node.outputs[0].is_graph_output():
            return False
        constants = [value for value in node.inputs if value and value.const_value is not None]
        rows = [value for value in node.inputs if value and value.const_value is None]
        # A constant of a higher rank could hold something else for each position.
        most = _MATRIX_RANK if node.op_type == "MatMul" else 1
        return all(self._hidden(value) for value in [*rows, *node.outputs]) and all(
            value.shape is not None and value.shape.rank() <= most for value in constants
        )

    def _hidden(self, value: "ir.Value") -> bool:
        """Tell whether a value is [batch, sequence, a constant], or was."""
        if value in self._tokens:
            return True
        shape, mask = value.shape, self._mask.shape
        return (
            shape is not None
            and mask is not None
            and shape.rank() == mask.rank() + 1
            and list(shape[:2]) == list(mask)
            and isinstance(shape[2], int)
        )

    def _without_padding(self, value: "ir.Value", before: "ir.Node") -> "ir.Value":
        if value not in self._tokens:
            assert value.shape is not None
            width = value.shape[2]
            assert isinstance(width, int)
            tokens, _ = self._places()
            rows = self._emit("Reshape", [value, self._constant([-1, width])], before)
            self._tokens[value] = self._emit("Gather", [rows, tokens], before, axis=0)
        return self._tokens[value]

    def _with_padding(self, value: "ir.Value", before: "ir.Node") -> "ir.Value":
        if value not in self._padded:
            _, positions = self._places()
            self._padded[value] = self._emit("Gather", [value, positions], before, axis=0)
        return self._padded[value]

    def _places(self) -> tuple["ir.Value", "ir.Value"]:
        """Return where the tokens lie among the positions, and which token each position reads."""
        if self._where is None:
            before = self._first
            zero, one = self._constant([0]), self._constant([1])
            mask = self._emit("Reshape", [self._mask, self._constant([-1])], before)
            tokens = self._emit("Squeeze", [self._emit("NonZero", [mask], before), zero], before)
            count = self._emit("CumSum", [mask, zero], before)
            shape = self._emit("Shape", [self._mask], before)
            index = self._emit("Sub", [count, one], before)
            self._where = tokens, self._emit("Reshape", [index, shape], before)
        return self._where

    def _emit(
        self, operator: str, inputs: list["ir.Value"], before: "ir.Node", **attributes: int
    ) -> "ir.Value":
        node = self._ir.node(operator, inputs, attributes=attributes)
        self._graph.insert_before(before, node)
        return node.outputs[0]

    def _constant(self, content: list[int]) -> "ir.Value":
        import numpy as np  # noqa: PLC0415

        name = "int64_" + "_".join(map(str, content))
        if name not in self._constants:
            array: Any = np.array(content, dtype=np.int64)
            value = self._ir.val(name, const_value=self._ir.tensor(array))
            self._graph.register_initializer(value)
            self._constants[name] = value
        return self._constants[name]
