"""What does an ONNX file hold, found out before any runtime reads it?

The file is one protobuf message, ModelProto of the ONNX standard (onnx/onnx.proto). It is walked by a
table of the fields that a network needs, and a field that is not in the table is refused: so there is
no data in other files, no graph within the graph, no function, no sparse tensor. A network of the
operators below comes to an end and says the same twice; one over a row needs no memory beyond its
weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

ROW_OPERATORS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization"),
        *("Relu", "LeakyRelu", "Elu", "Selu", "Gelu", "Erf", "Softplus", "Sigmoid", "Tanh", "Clip"),
        *("Constant", "Identity", "Flatten", "Squeeze"),
    }
)
"""Those of a network over one row."""
WINDOW_OPERATORS = ROW_OPERATORS | {
    *(
        "LSTM",
        "Conv",
        "Softmax",
        "Concat",
        "Split",
        "Slice",
        "Gather",
        "Reshape",
        "Transpose",
        "Unsqueeze",
    ),
    *(
        "Shape",
        "Cast",
        "ConstantOfShape",
        "Expand",
        "Pad",
        "Mod",
        "ReduceMean",
        "ReduceSum",
        "Sqrt",
        "Pow",
    ),
}
"""Those of a network over a window."""
_OWN_DOMAINS = (b"", b"ai.onnx")
_MAX_FIELDS = 20_000  # of a file; a network of ten layers has a few hundred

# Message, field number: an integer, a float, a text, numbers (packed or not), or the message within.
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {
        **{1: "int", 2: "text", 3: "text", 4: "text", 5: "int", 6: "text"},
        **{7: "graph", 8: "operator set", 14: "entry"},
    },
    "operator set": {1: "text", 2: "int"},
    "entry": {1: "text", 2: "text"},
    "graph": {
        **{1: "node", 2: "text", 5: "tensor", 10: "text"},
        **{11: "value", 12: "value", 13: "value", 16: "entry"},
    },
    "node": {
        **{1: "text", 2: "text", 3: "text", 4: "text", 5: "attribute"},
        **{6: "text", 7: "text", 9: "entry"},
    },
    "attribute": {
        **{1: "text", 2: "float", 3: "int", 4: "text", 5: "tensor"},
        **{7: "numbers", 8: "numbers", 9: "text", 13: "text", 20: "int"},
    },
    "tensor": {
        **{1: "numbers", 2: "int", 4: "numbers", 5: "numbers", 7: "numbers"},
        **{8: "text", 9: "text", 10: "numbers", 12: "text", 16: "entry"},
    },
    "value": {1: "text", 2: "type", 3: "text", 4: "entry"},
    "type": {1: "tensor type", 6: "text"},
    "tensor type": {1: "int", 2: "shape"},
    "shape": {1: "dimension"},
    "dimension": {1: "int", 2: "text", 3: "text"},
}
_OUTSIDE = {("tensor", 13), ("tensor", 14)}  # external_data, data_location
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    "int": (_VARINT,),
    "float": (_FIXED32,),
    "numbers": (_VARINT, _FIXED64, _LENGTH, _FIXED32),
}
_WIDTH = {_FIXED64: 8, _FIXED32: 4}


def metadata_of(content: bytes, operators: Set[str]) -> dict[str, str]:
    """The metadata of a network that is whole within `content`.

    Raises ValueError where it is not one, or one that asks for other than `operators`.
    """
    model = _Walk(memoryview(content)).message("model", 0, len(content))
    graphs = model.get(7, [])
    if len(graphs) != 1:
        raise ValueError(f"expected one graph, was {len(graphs)}")
    for node in graphs[0].get(1, []):
        _check_operator(bytes(_last(node, 4)), bytes(_last(node, 7)), operators)
    for operator_set in model.get(8, []):
        if (domain := bytes(_last(operator_set, 1))) not in _OWN_DOMAINS:
            raise ValueError(f"expected operators of ONNX itself, was the set {domain!r}")
    entries = [(str(_last(one, 1), "utf-8"), str(_last(one, 2), "utf-8")) for one in model.get(14, [])]
    if len(dict(entries)) != len(entries):
        raise ValueError("expected each key of the metadata once")
    return dict(entries)


def _check_operator(name: bytes, domain: bytes, operators: Set[str]) -> None:
    if domain not in _OWN_DOMAINS or name.decode("ascii", "replace") not in operators:
        whole = b".".join(filter(None, (domain, name)))
        raise ValueError(f"expected operators of such a network, was {whole!r}")


def _last(message: Mapping[int, list[Any]], field: int) -> memoryview:
    # Of a field that is there twice, protobuf takes the last.
    return memoryview(message.get(field, [b""])[-1])


class _Walk:
    """A cursor over the file; `at` never passes the end of the message that is being read."""

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.n_fields = 0

    def message(self, kind: str, at: int, end: int) -> dict[int, list[Any]]:
        """The fields of the message in `[at, end)`, every one of them known."""
        found: dict[int, list[Any]] = {}
        while at < end:
            tag, at = self._varint(at, end)
            field, wire_type = tag >> 3, tag & 7
            inner = _FIELDS[kind].get(field)
            if (kind, field) in _OUTSIDE:
                raise ValueError("expected all weights within the file, was a tensor of external data")
            if inner is None or wire_type not in _WIRE_TYPES.get(inner, (_LENGTH,)):
                raise ValueError(f"expected a plain network, was field {field} of a {kind}")
            self.n_fields += 1
            if self.n_fields > _MAX_FIELDS:
                raise ValueError(f"expected at most {_MAX_FIELDS} fields, was more")
            value, at = self._value(inner, wire_type, at, end)
            found.setdefault(field, []).append(value)
        return found

    def _value(self, inner: str, wire_type: int, at: int, end: int) -> tuple[Any, int]:
        if wire_type == _VARINT:
            return self._varint(at, end)
        if wire_type == _LENGTH:
            length, at = self._varint(at, end)
        else:
            length = _WIDTH[wire_type]
        after = at + length
        if after > end:
            raise ValueError(f"expected {length} bytes, was the end of the file or of a message")
        return (self.message(inner, at, after) if inner in _FIELDS else self.content[at:after]), after

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self.content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise ValueError("expected a number, was the end of a message or a longer one")
