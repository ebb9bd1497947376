"""What a file asks for beyond a network over a row is found before any runtime sees it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper, numpy_helper

from plugin.predictors import onnx_format
from plugin.predictors.onnx_format import ROW_OPERATORS, WINDOW_OPERATORS
from tests.support.networks import network, random_rows

ROWS = random_rows(0, 8)[:, :73]
WHOLE = network(1, ROWS)
Change = Callable[[onnx.ModelProto], None]


def metadata_of(content: bytes) -> dict[str, str]:
    return onnx_format.metadata_of(content, ROW_OPERATORS)


def test_the_metadata_of_a_plain_network_are_read() -> None:
    model = WHOLE.model()
    helper.set_model_props(model, {"feature_schema": "abc", "ünicode": "€"})
    assert metadata_of(model.SerializeToString()) == {"feature_schema": "abc", "ünicode": "€"}


def test_weights_may_be_written_as_numbers_or_as_raw_bytes() -> None:
    model = WHOLE.model()
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        tensor.CopyFrom(
            helper.make_tensor(tensor.name, tensor.data_type, weights.shape, weights.ravel())
        )
    assert metadata_of(model.SerializeToString()) == metadata_of(WHOLE.content())


def test_all_operators_are_those_of_the_standard() -> None:
    assert all(onnx.defs.has(name) for name in WINDOW_OPERATORS)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname", ""])
def test_weights_in_another_file_are_refused(tmp_path: Path, location: str) -> None:
    model = WHOLE.model()
    for tensor in model.graph.initializer:
        external_data_helper.set_external_data(tensor, location or "weights.bin")
        tensor.ClearField("raw_data")
    if not location:  # only the mark, and no entry that tells where
        for tensor in model.graph.initializer:
            del tensor.external_data[:]
    with pytest.raises(ValueError, match="external data"):
        metadata_of(model.SerializeToString())


def test_a_file_saved_with_its_weights_beside_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save_model(
        WHOLE.model(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    assert (tmp_path / "weights.bin").stat().st_size > 1_000
    assert onnx.load(path).graph.initializer[0].raw_data, "the format's own reader follows it"
    with pytest.raises(ValueError, match="external data"):
        metadata_of(path.read_bytes())


def _external_tensor() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, dtype=np.float32), "hidden_tensor")
    external_data_helper.set_external_data(tensor, "weights.bin")
    return tensor


def _in_a_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["k"], value=_external_tensor()))


def _in_a_list_of_tensors(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("many", [_external_tensor()]))


def _in_a_subgraph(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [], [_external_tensor()])
    model.graph.node[0].attribute.append(helper.make_attribute("body", graph))


def _in_a_list_of_graphs(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [], [_external_tensor()])
    model.graph.node[0].attribute.append(helper.make_attribute("bodies", [graph]))


def _in_a_sparse_tensor(model: onnx.ModelProto) -> None:
    sparse = helper.make_sparse_tensor(_external_tensor(), _external_tensor(), [3])
    model.graph.sparse_initializer.append(sparse)


def _in_a_function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Constant", [], ["k"], value=_external_tensor())]
    model.functions.append(helper.make_function("own", "f", [], ["k"], body, []))


def _in_training_state(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(_external_tensor())


@pytest.mark.parametrize(
    "hide",
    [
        _in_a_constant,
        _in_a_list_of_tensors,
        _in_a_subgraph,
        _in_a_list_of_graphs,
        _in_a_sparse_tensor,
        _in_a_function,
        _in_training_state,
    ],
)
def test_external_data_are_found_wherever_they_hide(hide: Change) -> None:
    model = WHOLE.model()
    hide(model)
    with pytest.raises(ValueError, match=r"external data|plain network"):
        metadata_of(model.SerializeToString())


def test_a_second_graph_that_protobuf_would_merge_is_refused() -> None:
    more = onnx.ModelProto()
    more.graph.initializer.append(_external_tensor())
    whole = WHOLE.content()
    assert len(onnx.load_from_string(whole + more.SerializeToString()).graph.initializer) == 7
    with pytest.raises(ValueError, match="external data"):
        metadata_of(whole + more.SerializeToString())
    with pytest.raises(ValueError, match="one graph, was 2"):
        metadata_of(whole + whole)
    with pytest.raises(ValueError, match="one graph, was 0"):
        metadata_of(b"")


def _custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"


def _custom_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


def _random(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "RandomNormalLike"


def _loop(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "Loop"


def _no_name(model: onnx.ModelProto) -> None:
    model.graph.node[3].ClearField("op_type")


def _a_key_twice(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="feature_schema", value="another")


def _too_many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([helper.make_node("Relu", ["x"], ["y"])] * 20_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_custom_operator, "operators of such a network.*com.microsoft.Relu"),
        (_custom_set, "operators of ONNX itself.*ai.onnx.ml"),
        (_random, "RandomNormalLike"),
        (_loop, "Loop"),
        (_no_name, "operators of such a network, was b''"),
        (_a_key_twice, "each key of the metadata once"),
        (_too_many_nodes, "at most 20000 fields"),
    ],
)
def test_more_than_a_network_over_a_row_is_refused(change: Change, words: str) -> None:
    model = WHOLE.model()
    change(model)
    with pytest.raises(ValueError, match=words):
        metadata_of(model.SerializeToString())


def test_the_names_of_the_standard_s_own_operators_are_both_known() -> None:
    model = WHOLE.model()
    for node in model.graph.node:
        node.domain = "ai.onnx"
    model.opset_import[0].domain = "ai.onnx"
    assert metadata_of(model.SerializeToString())


@pytest.mark.parametrize(
    "content",
    [
        b"\x08",  # a field without its number
        b"\x08" + b"\x80" * 10 + b"\x01",  # a number that does not end in time
        b"\x3a\x7f",  # a graph of 127 bytes that are not there
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length beyond all files
        b"\x38\x01",  # a graph that is a number
        b"\x3b\x3c",  # a group
        b"\x0a\x01x",  # a version that is a text
        b"\x00\x01",  # field 0
        b"\x88\x80\x80\x80\x80\x20\x01",  # field 1 in the lower bits of a longer number
        b"\x72\x03\x0a\x01\xff",  # a key that is no text
        bytes(100),
        b"\xff" * 100,
    ],
)
def test_bytes_that_are_no_such_message_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|decode"):
        metadata_of(content)


def test_a_file_cut_anywhere_is_refused_or_a_whole_smaller_one() -> None:
    content = WHOLE.content()
    for end in range(len(content)):
        try:
            metadata_of(content[:end])
        except ValueError:
            continue
        onnx.load_from_string(content[:end])  # a part that ends where a field does
