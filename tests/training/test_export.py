"""Do the two graphs of a network say what the network says?"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from plugin.features.feature_set import SEQUENCE
from plugin.features.joined import columns_of
from plugin.predictors.batches import ALONE_KEY
from plugin.predictors.windowed import WindowedNetwork, read_windowed
from training.export import NetworkFiles, export_network, leaves_nothing_over
from training.models.network import ARCHITECTURES, NetworkMember, probabilities
from training.models.networks.base import WindowNetwork

N_STEPS, N_HEADS, N_FEATURES = 12, 3, len(SEQUENCE.names)


def made(architecture: str, **shape: int) -> tuple[WindowNetwork, NetworkFiles, WindowedNetwork]:
    member = NetworkMember(name="net", architecture=architecture, n_steps=N_STEPS, shape=shape)
    network, _ = member.build(N_FEATURES, N_HEADS, seed=5)
    network.scaler.fit(torch.randn(50, N_FEATURES) * 3 + 1)
    files = export_network(network, "sequence")
    return network, files, read(files)


def read(files: NetworkFiles, n_steps: int = N_STEPS, n_heads: int = N_HEADS) -> WindowedNetwork:
    contents = files.history, files.step
    columns = columns_of("sequence")
    return read_windowed(("h.onnx", "s.onnx"), contents, SEQUENCE.names, columns, n_steps, n_heads)


def windows(n: int, seed: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, N_STEPS, N_FEATURES))
    return (2 * drawn).astype(np.float32)


def answered(network: WindowedNetwork, of: np.ndarray) -> np.ndarray:
    return network.probability(np.ascontiguousarray(of[:, -1]), network.prepare(of[:, :-1]))


@pytest.fixture(params=[*ARCHITECTURES, "stacked lstm"])
def one(request: pytest.FixtureRequest) -> tuple[WindowNetwork, NetworkFiles, WindowedNetwork]:
    if request.param == "stacked lstm":
        return made("lstm", layers=2, hidden=16)
    return made(request.param)


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_step_upon_history_says_what_torch_says_of_the_whole_window(one, n: int) -> None:
    network, _, served = one
    of = windows(n)
    expected = probabilities(network, torch.from_numpy(of))
    np.testing.assert_allclose(answered(served, of), expected, rtol=0, atol=1e-6)
    assert np.ptp(expected) > 1e-3 or n == 1


def test_an_answer_has_the_same_bits_alone_and_among_others(one) -> None:
    _, _, served = one
    of = windows(21)
    together = answered(served, of)
    for number in range(len(of)):
        alone = answered(served, of[number : number + 1])
        assert alone.tobytes() == together[number : number + 1].tobytes()


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("lstm", {"hidden": 30}), ("tcn", {"channels": 27, "attention_heads": 3})],
)
def test_so_it_has_where_a_layer_leaves_floats_over(architecture: str, shape: dict[str, int]) -> None:
    _, _, served = made(architecture, **shape)
    of = windows(200)
    together = answered(served, of)
    apart = [answered(served, of[number : number + 1]) for number in range(len(of))]
    assert np.concatenate(apart).tobytes() == together.tobytes()


@pytest.mark.parametrize(
    ("architecture", "shape", "allowed"),
    [
        ("lstm", {}, "yes"),
        ("tft", {"width": 20}, "yes"),
        ("tft", {"width": 18, "attention_heads": 2}, "no"),
        ("tft", {"width": 20, "of_each_variable": 3}, "yes"),  # of 80 features
    ],
)
def test_a_file_says_whether_one_row_may_be_asked_alone(
    architecture: str, shape: dict[str, int], allowed: str
) -> None:
    _, files, _ = made(architecture, **shape)
    for content in (files.history, files.step):
        model = onnx.load_from_string(content)
        assert {one.key: one.value for one in model.metadata_props}[ALONE_KEY] == allowed


def test_a_curve_over_an_unknown_number_of_floats_leaves_some_over() -> None:
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node("Reshape", ["rows", "shape"], ["some"]), node("Elu", ["some"], ["bent"])],
        "unknown",
        [value("rows", floats, ["windows", 8]), value("shape", onnx.TensorProto.INT64, [2])],
        [value("bent", floats, ["windows", 8])],
    )
    assert not leaves_nothing_over(onnx.helper.make_model(graph))


def test_each_graph_is_one_file_with_all_weights(one) -> None:
    network, files, _ = one
    for content in (files.history, files.step):
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert network.n_parameters * 4 < len(files.history) + len(files.step)


def test_another_window_or_other_horizons_are_refused(one) -> None:
    _, files, _ = one
    with pytest.raises(Exception, match=r"h\.onnx"):
        read(files, n_steps=N_STEPS + 1)
    with pytest.raises(Exception, match=r"s\.onnx"):
        read(files, n_heads=2)


def test_graphs_in_each_others_place_are_refused(one) -> None:
    _, files, _ = one
    with pytest.raises(Exception, match=r"h\.onnx"):
        read(NetworkFiles(files.step, files.history))


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if "bidir" not in name])
def test_the_newest_row_changes_nothing_that_was_prepared(architecture: str) -> None:
    network, _, _ = made(architecture)
    of = torch.from_numpy(windows(2))
    other = of.clone()
    other[:, -1] += 1.0
    with torch.inference_mode():
        for before, after in zip(
            network.history(of[:, :-1]), network.history(other[:, :-1]), strict=True
        ):
            assert torch.equal(before, after)
        assert not torch.equal(network(of), network(other))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_oldest_row_still_counts_where_the_network_reaches_that_far(architecture: str) -> None:
    network, _, _ = made(architecture)
    of = torch.from_numpy(windows(4))
    other = of.clone()
    other[:, 0] += 2.0
    with torch.inference_mode():
        assert not torch.equal(network(of), network(other))
