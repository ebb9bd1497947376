"""Networks answer for bars that they never saw, from what lies before them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.errors import WrongUse
from tests.support.network_training import NETWORK_SETTINGS
from tests.support.small_dataset import dataset_of, folds_of, simulated_candles
from training.dataset import Dataset
from training.models.network import NetworkMember
from training.models.torch_fit import FitSettings
from training.networks import Networks, networks_of
from training.oof import bin_members
from training.settings import MEMBERS
from training.splits import Fold

MEMBER = NetworkMember(
    name="lstm",
    architecture="lstm",
    n_steps=6,
    shape={"hidden": 4},
    settings=FitSettings(epochs=2, per_epoch=300, batch_size=64),
    distilled=0.5,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(simulated_candles(tmp_path_factory.mktemp("candles")))


def folds_by_longest(dataset: Dataset) -> list[Fold]:
    return folds_of(dataset, max(dataset.labels), n_folds=3)


def said(networks: Networks, dataset: Dataset) -> dict[int, NDArray[np.float64]]:
    folds = folds_by_longest(dataset)
    binned = bin_members(MEMBERS[:1], dataset, folds[0].train)
    with ThreadPoolExecutor(2) as pool:
        return networks.out_of_fold(folds, binned, pool, lambda _: None)


def opened(dataset: Dataset, member: NetworkMember = MEMBER) -> Networks:
    return networks_of(NETWORK_SETTINGS, [member], dataset)


def test_every_test_row_is_answered_at_every_horizon(dataset: Dataset) -> None:
    networks = opened(dataset)
    answers = said(networks, networks.dataset)
    tested = np.concatenate([fold.test for fold in folds_by_longest(networks.dataset)])
    assert list(answers) == list(dataset.labels)
    for of_horizon in answers.values():
        assert set(np.flatnonzero(~np.isnan(of_horizon[0]))) == set(tested.tolist())
        assert ((of_horizon[0, tested] > 0.0) & (of_horizon[0, tested] < 1.0)).all()


def test_rows_without_a_whole_window_are_left_out(dataset: Dataset) -> None:
    kept = opened(dataset).dataset
    assert kept.n_rows == dataset.n_rows - len(dataset.symbols) * (MEMBER.n_steps - 1)


def altered(dataset: Dataset, since_ms: int) -> Dataset:
    """Another future: rows and labels from a moment on are others."""
    later = dataset.known_from_ms >= since_ms
    rows = dataset.rows.copy()
    rows[later] = rows[later][:, ::-1] * 3.0
    labels = {
        horizon: replace(own, up=np.where(own.label_end_ms >= since_ms, 1.0 - own.up, own.up))
        for horizon, own in dataset.labels.items()
    }
    return replace(dataset, rows=rows, labels=labels)


def test_no_answer_depends_on_what_comes_after_it(dataset: Dataset) -> None:
    networks = opened(dataset)
    first, second, third = folds_by_longest(networks.dataset)
    before = said(networks, networks.dataset)
    other = opened(altered(dataset, second.test_start_ms))
    after = said(other, other.dataset)
    for horizon in before:
        # The first two blocks are answered by one network, the third by one that has learnt anew.
        same, changed = before[horizon][0], after[horizon][0]
        np.testing.assert_array_equal(same[first.test], changed[first.test])
        assert (same[third.test] != changed[third.test]).any()


def test_the_bits_do_not_depend_on_who_learns_beside_it(dataset: Dataset) -> None:
    networks = opened(dataset)
    alone = said(networks, networks.dataset)
    both = networks_of(
        NETWORK_SETTINGS, [replace(MEMBER, name="other", architecture="tcn", shape={}), MEMBER], dataset
    )
    together = said(both, both.dataset)
    for horizon in alone:
        np.testing.assert_array_equal(alone[horizon][0], together[horizon][1])


def test_a_model_that_was_kept_is_the_model(dataset: Dataset) -> None:
    networks = opened(dataset)
    folds = folds_by_longest(networks.dataset)
    binned = bin_members(MEMBERS[:1], networks.dataset, folds[0].train)
    with ThreadPoolExecutor(1) as pool:
        serving = networks.fit_final(binned, pool, lambda _: None)
    model = serving.models["lstm"]
    again = MEMBER.load(model.content(), model.network.n_features, model.network.n_heads)
    rows = folds[-1].test
    windows = networks.windows["lstm"]
    np.testing.assert_array_equal(model.predict(windows, rows), again.predict(windows, rows))
    assert (again.best_epoch, again.by_head) == (model.best_epoch, model.by_head)


def test_a_network_that_is_taught_needs_its_teacher(dataset: Dataset) -> None:
    networks = opened(dataset)
    with ThreadPoolExecutor(1) as pool, pytest.raises(WrongUse, match="from whom a network learns"):
        networks.out_of_fold(folds_by_longest(networks.dataset), {}, pool, lambda _: None)


@pytest.mark.parametrize("answering", ["own", "best", "blended", "single"])
def test_which_heads_answer(dataset: Dataset, answering: str) -> None:
    member = replace(MEMBER, answering=answering, distilled=0.0)
    networks = opened(dataset, member)
    rows = np.arange(networks.dataset.n_rows)
    labels = np.stack([own.up for own in networks.dataset.labels.values()], axis=1).astype(np.float32)
    model = member.learn(networks.windows["lstm"], rows[:600], rows[700:900], labels, 3, seed=1)
    weights = model.network.mix.weights.numpy()
    expected = {
        "own": np.eye(3),
        "best": np.eye(3)[np.argmax(model.by_head)][None].repeat(3, axis=0),
        "blended": np.array([[0.4, 0.35, 0.25]] * 3),
        "single": np.eye(3)[:1].repeat(3, axis=0),
    }
    np.testing.assert_allclose(weights, expected[answering], atol=1e-6)
    answers = model.predict(networks.windows["lstm"], rows[700:720])
    assert (np.ptp(answers, axis=1) == 0.0).all() == (answering != "own")
