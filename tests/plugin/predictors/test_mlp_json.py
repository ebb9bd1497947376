"""Answers without the library equal the library's; what the reader does not know is refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from plugin.errors import BundleRefused
from plugin.predictors.mlp_json import MLP, read_mlp
from tests.support.boosted import COLUMNS, N_FEATURES, NAMES, random_rows
from training.models.mlp import MLPMember, MLPModel

ROWS, UP = random_rows(0, 2_000)


def learnt(seed: int = 7) -> MLPModel:
    """Perceptrons over the rows; the fourth feature spans sixty powers of ten."""
    return MLPMember("mlp", "joined").bin(ROWS, np.arange(100), NAMES).fit(np.arange(1_500), UP, seed)


MODEL = learnt()


def read(content: bytes) -> MLP:
    return read_mlp("mlp_h5.json", content, NAMES, COLUMNS)


@pytest.mark.parametrize("seed", range(4))
def test_answers_equal_those_of_matrix_products(seed: int) -> None:
    model = learnt(seed)
    said = read(model.content()).probability(ROWS)
    np.testing.assert_allclose(said, model.predict(ROWS), rtol=0, atol=1e-12)
    assert np.ptp(said) > 0.1


def test_a_network_answers_as_the_library_does() -> None:
    near = np.random.default_rng(1).normal(size=(300, N_FEATURES)).astype(np.float32)
    library = MLPClassifier((5,), random_state=1)
    for _ in range(50):
        library.partial_fit(near, near[:, 0] > near[:, 1], classes=[False, True])
    (hidden, out), (bias, bias_out) = library.coefs_, library.intercepts_
    layers = {
        "hidden": [*hidden.tolist(), bias.tolist()],
        "out": [*out[:, 0].tolist(), *bias_out.tolist()],
    }
    # So wide that nothing is near its end: the curve of the features is straight there.
    spread = 1e6
    layers["hidden"][:-1] = (hidden * spread).tolist()
    text = {
        "features": NAMES,
        "centre": [0.0] * N_FEATURES,
        "spread": [spread] * N_FEATURES,
        "networks": [layers],
    }
    said = read(msgspec.json.encode(text)).probability(near)
    np.testing.assert_allclose(said, library.predict_proba(near)[:, 1], rtol=0, atol=1e-5)


def test_an_answer_has_the_same_bits_alone_and_among_others() -> None:
    network = read(MODEL.content())
    together = network.probability(ROWS[:200])
    alone = [network.probability(ROWS[number : number + 1]) for number in range(200)]
    assert np.concatenate(alone).tobytes() == together.tobytes()


def test_a_feature_far_out_counts_as_far_out_and_no_more() -> None:
    far, further = ROWS[:1].copy(), ROWS[:1].copy()
    far[0, 0], further[0, 0] = 1e6, 1e30
    network = read(MODEL.content())
    assert network.probability(far) == network.probability(further) != network.probability(ROWS[:1])


def test_what_is_not_a_number_leads_to_none() -> None:
    rows = ROWS[:2].copy()
    rows[0, 2] = np.nan
    said = read(MODEL.content()).probability(rows)
    assert np.isnan(said[0])
    assert np.isfinite(said[1])


def _of_others(file: dict[str, Any]) -> None:
    file["features"][0] = "other"


def _without_a_centre(file: dict[str, Any]) -> None:
    file["centre"].pop()


def _without_spread(file: dict[str, Any]) -> None:
    file["spread"][1] = 0.0


def _without_networks(file: dict[str, Any]) -> None:
    file["networks"] = []


def _without_a_weight(file: dict[str, Any]) -> None:
    file["networks"][0]["hidden"][2].pop()


def _without_a_neuron(file: dict[str, Any]) -> None:
    file["networks"][1]["out"].pop()


def _without_neurons(file: dict[str, Any]) -> None:
    file["networks"] = [{"hidden": [[] for _ in range(N_FEATURES + 1)], "out": [0.0]}]


def _too_large(file: dict[str, Any]) -> None:
    file["networks"][0]["out"] = [1.0] * 2_000
    file["networks"][0]["hidden"] = [[1.0] * 1_999 for _ in range(N_FEATURES + 1)]


def _not_a_number(file: dict[str, Any]) -> None:
    file["networks"][0]["out"][0] = None


def _with_more(file: dict[str, Any]) -> None:
    file["more"] = 1


@pytest.mark.parametrize(
    "spoil",
    [
        *(_of_others, _without_a_centre, _without_spread, _without_networks, _without_a_weight),
        *(_without_a_neuron, _without_neurons, _too_large, _not_a_number, _with_more),
    ],
)
def test_another_file_is_refused_by_its_name(spoil: Callable[[dict[str, Any]], None]) -> None:
    file = msgspec.json.decode(MODEL.content())
    spoil(file)
    with pytest.raises(BundleRefused, match=r"mlp_h5\.json"):
        read(msgspec.json.encode(file))


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"features": 1e999}', b"\xff\xfe"])
def test_what_is_no_json_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(BundleRefused, match=r"mlp_h5\.json"):
        read(content)
