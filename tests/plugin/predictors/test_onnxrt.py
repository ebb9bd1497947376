"""A network answers as numpy does, each row alone; more than a network over a row is refused."""

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugin.errors import BundleRefused
from plugin.features.joined import FEATURE_SETS, columns_of
from plugin.predictors import onnxrt
from plugin.predictors.onnxrt import MAX_BYTES, SCHEMA_KEY, Network, read_onnx
from tests.support import networks
from tests.support.networks import FEATURES, random_rows

ROOT = Path(__file__).parents[3]
COLUMNS = columns_of(FEATURES)
ROWS = random_rows(0, 1_000)
OWN = np.ascontiguousarray(ROWS[:, COLUMNS])
WHOLE = networks.network(1, OWN)
FILE = "net_h5.onnx"


def read(content: bytes, features: str = FEATURES) -> Network:
    return read_onnx(FILE, content, FEATURE_SETS[features].names, columns_of(features))


def refusal_of(content: bytes, features: str = FEATURES) -> str:
    with pytest.raises(BundleRefused) as caught:
        read(content, features)
    assert caught.value.file == FILE
    return str(caught.value)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ["Relu", "Elu"])
def test_answers_are_those_of_numpy(seed: int, activation: str) -> None:
    net = replace(networks.network(seed, OWN, n_hidden=3 + 10 * seed), activation=activation)
    said = read(net.content()).probability(ROWS)
    assert (said.shape, said.dtype) == ((len(ROWS),), np.float64)
    assert np.ptp(said) > 0.01
    np.testing.assert_allclose(said, net.probability(OWN), rtol=0, atol=5e-7)


@pytest.mark.parametrize("activation", ["Relu", "Elu"])
def test_a_row_has_the_same_bits_alone_and_among_a_thousand(activation: str) -> None:
    model = read(replace(WHOLE, activation=activation).content())
    together = model.probability(ROWS)
    alone = [model.probability(ROWS[number : number + 1]) for number in range(len(ROWS))]
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_no_rows_are_no_answers() -> None:
    assert read(WHOLE.content()).probability(ROWS[:0]).shape == (0,)


def test_columns_are_picked_by_their_place_in_the_row() -> None:
    turned = np.argsort(np.random.default_rng(0).permutation(ROWS.shape[1]))
    model = read_onnx(FILE, WHOLE.content(), FEATURE_SETS[FEATURES].names, turned[COLUMNS])
    wide = np.empty_like(ROWS)
    wide[:, turned] = ROWS
    assert model.probability(wide).tobytes() == read(WHOLE.content()).probability(ROWS).tobytes()


def test_an_output_of_one_dimension_is_read_too() -> None:
    model = WHOLE.model()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["rows"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "second"))
    model.graph.node.append(helper.make_node("Squeeze", ["up", "second"], ["flat"]))
    said = read(model.SerializeToString()).probability(ROWS)
    assert said.tobytes() == read(WHOLE.content()).probability(ROWS).tobytes()


def test_names_of_inputs_outputs_and_rows_do_not_matter() -> None:
    model = WHOLE.model()
    model.graph.input[0].name = model.graph.node[0].input[0] = "something"
    model.graph.output[0].name = model.graph.node[-1].output[0] = "else"
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
    said = read(model.SerializeToString()).probability(ROWS)
    assert said.tobytes() == read(WHOLE.content()).probability(ROWS).tobytes()


def test_a_network_without_numbers_says_so() -> None:
    assert np.isnan(read(networks.silent_network(1, OWN).content()).probability(ROWS[:3])).all()


def test_a_session_has_no_thread_beside_the_caller_s() -> None:
    """In a process of its own, as other tests leave threads behind."""
    count = (
        "import os, sys; from tests.plugin.predictors.test_onnxrt import read, WHOLE, ROWS\n"
        "read(WHOLE.content())\n"  # what the library starts once, whatever the options
        "before = len(os.listdir('/proc/self/task'))\n"
        "read(WHOLE.content()).probability(ROWS)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", count], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "0\n"
    assert ended.stderr == ""


def test_only_one_file_imports_the_runtime_and_only_when_it_is_needed() -> None:
    importing = []
    for path in [
        *ROOT.glob("plugin/**/*.py"),
        *ROOT.glob("shadow/**/*.py"),
        *ROOT.glob("gates/**/*.py"),
    ]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "onnxruntime" for name in named):
                importing.append(path.name)
                assert node not in tree.body, "imported with the module"
    assert importing == [Path(onnxrt.__file__).name]


def test_a_host_without_the_runtime_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'shadowgate[onnx]'" in refusal_of(WHOLE.content())


def test_a_file_above_the_cap_is_refused_unread() -> None:
    content = WHOLE.content()
    assert f"at most {MAX_BYTES} bytes, was {MAX_BYTES + 1}" in refusal_of(
        content + bytes(MAX_BYTES + 1 - len(content))
    )
    assert "a network in ONNX" in refusal_of(content + bytes(MAX_BYTES - len(content)))


def test_features_of_another_schema_are_refused() -> None:
    assert "a network over features of schema" in refusal_of(WHOLE.content(), "cross")
    model = WHOLE.model()
    helper.set_model_props(model, {SCHEMA_KEY: "0" * 64})
    assert "000000000000" in refusal_of(model.SerializeToString())
    del model.metadata_props[:]
    assert "was none" in refusal_of(model.SerializeToString())


Change = Callable[[onnx.ModelProto], None]


def _dimension(model: onnx.ModelProto, side: str, place: int) -> onnx.TensorShapeProto.Dimension:
    return getattr(model.graph, side)[0].type.tensor_type.shape.dim[place]


def _fixed_rows_in(model: onnx.ModelProto) -> None:
    _dimension(model, "input", 0).dim_value = 1


def _fixed_rows_out(model: onnx.ModelProto) -> None:
    _dimension(model, "output", 0).dim_value = 1


def _open_features(model: onnx.ModelProto) -> None:
    _dimension(model, "input", 1).dim_param = "features"


def _one_feature_less(model: onnx.ModelProto) -> None:
    smaller = networks.network(1, OWN[:, 1:]).model()
    model.graph.CopyFrom(smaller.graph)


def _two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["rows", 1]))


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("odds", TensorProto.FLOAT, ["rows", 1]))


def _no_output(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def _two_probabilities(model: onnx.ModelProto) -> None:
    wide = {"out": np.ones((WHOLE.out.size, 2)), "out_bias": np.zeros(2)}
    for tensor in model.graph.initializer:
        if tensor.name in wide:
            tensor.CopyFrom(numpy_helper.from_array(wide[tensor.name].astype(np.float32), tensor.name))
    _dimension(model, "output", 1).dim_value = 2


def _fit_for_three_rows(model: onnx.ModelProto) -> None:
    """Shapes that are found wrong only when it is asked: by way of the turned row, (features, rows)."""
    three = numpy_helper.from_array(np.ones((3, WHOLE.centre.size), dtype=np.float32), "three")
    model.graph.initializer.append(three)
    turned = helper.make_node("Gemm", ["row", "three"], ["square"], transA=1)
    model.graph.node.insert(0, helper.make_node("MatMul", ["row", "square"], ["again"]))
    model.graph.node.insert(0, turned)
    model.graph.node[2].input[0] = "again"


def _in_doubles(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(float), tensor.name)
        )


def _no_weights(model: onnx.ModelProto) -> None:
    del model.graph.initializer[:]


def _weights_cut(model: onnx.ModelProto) -> None:
    model.graph.initializer[2].raw_data = model.graph.initializer[2].raw_data[:-4]


def _newer_operators(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 999


def _newer_format(model: onnx.ModelProto) -> None:
    model.ir_version = 999


OTHER_SHAPES = "rows', 1) out, was"
NOT_LOADED = "a network that onnxruntime can load"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_fixed_rows_in, OTHER_SHAPES),
        (_fixed_rows_out, OTHER_SHAPES),
        (_open_features, OTHER_SHAPES),
        (_one_feature_less, OTHER_SHAPES),
        (_two_inputs, OTHER_SHAPES),
        (_two_outputs, OTHER_SHAPES),
        (_no_output, OTHER_SHAPES),
        (_two_probabilities, OTHER_SHAPES),
        (_in_doubles, OTHER_SHAPES),
        (_fit_for_three_rows, "answers one row with one number"),
        (_no_weights, NOT_LOADED),
        (_weights_cut, NOT_LOADED),
        (_newer_operators, NOT_LOADED),
        (_newer_format, NOT_LOADED),
    ],
)
def test_what_is_not_one_row_in_and_one_probability_out_is_refused(change: Change, words: str) -> None:
    model = WHOLE.model()
    read(model.SerializeToString())
    change(model)
    assert words in refusal_of(model.SerializeToString())
