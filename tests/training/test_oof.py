"""An out-of-fold probability comes from a model that knew nothing near the rows it is asked about."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.features.joined import columns_of
from tests.support.small_dataset import (
    EMBARGO_MS,
    FIRST_TEST_MS,
    SEED,
    folds_of,
    predict_out_of_fold,
)
from training.dataset import Dataset
from training.models.base import Binned
from training.oof import OutOfFold, bin_members, fit_final, out_of_fold
from training.settings import MEMBERS
from training.splits import Fold

HORIZON = 5


@pytest.fixture(scope="module")
def folds(dataset: Dataset) -> list[Fold]:
    return folds_of(dataset, HORIZON)


@pytest.fixture(scope="module")
def oof(dataset: Dataset, folds: list[Fold]) -> OutOfFold:
    return predict_out_of_fold(dataset, HORIZON, folds)


def with_labels_turned(dataset: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    """What was up is down in `rows`."""
    labels = dataset.labels[HORIZON]
    turned = replace(labels, up=np.where(rows, 1.0 - labels.up, labels.up))
    return replace(dataset, labels={**dataset.labels, HORIZON: turned})


def with_rows_altered(dataset: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    """Features of quite another size in `rows`."""
    altered = np.where(rows[:, None], dataset.rows * 50.0 - 20.0, dataset.rows)
    return replace(dataset, rows=altered.astype(np.float32))


def near_or_after(dataset: Dataset, fold: Fold) -> NDArray[np.bool_]:
    """Rows that touch the fold's test block and its embargo, and all later ones."""
    return dataset.labels[HORIZON].label_end_ms >= fold.test_start_ms - EMBARGO_MS


@pytest.mark.parametrize("number", [0, 1])
def test_labels_near_and_after_a_test_block_do_not_reach_its_predictions(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold, number: int
) -> None:
    fold = folds[number]
    turned = with_labels_turned(dataset, near_or_after(dataset, fold))
    again = predict_out_of_fold(turned, HORIZON, folds)
    assert again.probability[:, fold.test].tobytes() == oof.probability[:, fold.test].tobytes()


@pytest.mark.parametrize("number", [0, 1])
def test_features_near_and_after_a_test_block_do_not_reach_its_predictions(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold, number: int
) -> None:
    fold = folds[number]
    others = near_or_after(dataset, fold)
    others[fold.test] = False
    again = predict_out_of_fold(with_rows_altered(dataset, others), HORIZON, folds)
    assert again.probability[:, fold.test].tobytes() == oof.probability[:, fold.test].tobytes()


def test_labels_that_are_learnt_from_do_reach_the_predictions(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    """The control: the same change one step earlier is seen by every member in every fold."""
    turned = with_labels_turned(dataset, np.isin(np.arange(dataset.n_rows), folds[0].train[-200:]))
    again = predict_out_of_fold(turned, HORIZON, folds)
    for fold in folds:
        for number in range(len(MEMBERS)):
            was, now = oof.probability[number, fold.test], again.probability[number, fold.test]
            assert not np.array_equal(was, now)


def test_every_tested_row_has_an_answer_and_no_other(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    tested = dataset.known_from_ms >= FIRST_TEST_MS
    assert oof.members == tuple(member.name for member in MEMBERS)
    assert np.isnan(oof.probability[:, ~tested]).all()
    assert ((oof.probability[:, tested] > 0) & (oof.probability[:, tested] < 1)).all()
    for fold in folds:
        assert set(oof.fold[fold.test]) == {fold.number}
    assert set(oof.fold[~tested]) == {-1}


def test_each_answer_is_that_of_its_own_member_and_fold(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    binned = bin_members(MEMBERS, dataset, folds[0].train)
    up = dataset.labels[HORIZON].up
    for number, member in enumerate(MEMBERS):
        model = binned[member.name].fit(folds[1].train, up, SEED)
        rows = np.ascontiguousarray(dataset.rows[folds[1].test][:, columns_of(member.feature_set)])
        assert model.predict(rows).tobytes() == oof.probability[number, folds[1].test].tobytes()


def test_the_number_of_workers_changes_nothing(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    finals = []
    for n_workers in (1, 3):
        with ThreadPoolExecutor(n_workers) as pool:
            again = predict_out_of_fold(dataset, HORIZON, folds, pool=pool)
            binned = bin_members(MEMBERS, dataset, folds[0].train)
            models = fit_final(MEMBERS, binned, dataset, HORIZON, SEED, pool, lambda _: None)
        assert again.probability.tobytes() == oof.probability.tobytes()
        finals.append({name: model.content() for name, model in models.items()})
    assert finals[0] == finals[1]


def test_final_models_learn_from_every_row_with_a_label(dataset: Dataset, folds: list[Fold]) -> None:
    up = dataset.labels[HORIZON].up
    known = np.flatnonzero(~np.isnan(up))
    binned = bin_members(MEMBERS, dataset, folds[0].train)
    with ThreadPoolExecutor(1) as pool:
        models = fit_final(MEMBERS, binned, dataset, HORIZON, SEED, pool, lambda _: None)
    for member in MEMBERS:
        expected = binned[member.name].fit(known, up, SEED)
        assert models[member.name].content() == expected.content()


def test_a_training_row_without_a_label_is_not_learnt_from(dataset: Dataset) -> None:
    [fold] = folds_of(dataset, HORIZON, n_folds=1)
    forgotten = fold.train[-300:]
    labels = dataset.labels[HORIZON]
    up = labels.up.copy()
    up[forgotten] = np.nan
    unlabelled = replace(dataset, labels={HORIZON: replace(labels, up=up)})
    shorter = [replace(fold, train=fold.train[:-300])]

    one = MEMBERS[:1]
    binned = bin_members(one, dataset, fold.train)
    with ThreadPoolExecutor(1) as pool:
        without = out_of_fold(one, binned, unlabelled, HORIZON, [fold], SEED, pool, lambda _: None)
        left_out = out_of_fold(one, binned, dataset, HORIZON, shorter, SEED, pool, lambda _: None)
    assert without.probability.tobytes() == left_out.probability.tobytes()


class Kept(dict[str, bytes]):
    """Pieces in memory, in the place of a checkpoint on disk."""

    def piece(self, name: str, make: Callable[[], bytes]) -> bytes:
        if name not in self:
            self[name] = make()
        return self[name]


def test_what_is_kept_is_used_in_its_place_and_nothing_is_trained_again(
    dataset: Dataset, folds: list[Fold], oof: OutOfFold
) -> None:
    kept = Kept()
    binned = bin_members(MEMBERS, dataset, folds[0].train)
    given = (dataset, HORIZON)
    with ThreadPoolExecutor(2) as pool:
        rest = (SEED, pool, lambda _: None, kept.piece)
        first = out_of_fold(MEMBERS, binned, *given, folds, *rest)
        models = fit_final(MEMBERS, binned, *given, *rest)
        assert len(kept) == len(MEMBERS) * (len(folds) + 1)
        nobody: dict[str, Binned] = {}
        again = out_of_fold(MEMBERS, nobody, *given, folds, *rest)
        models_again = fit_final(MEMBERS, nobody, *given, *rest)
    assert oof.probability.tobytes() == first.probability.tobytes() == again.probability.tobytes()
    for name, model in models.items():
        assert models_again[name].content() == model.content()


def test_each_piece_has_a_name_of_its_own(dataset: Dataset, folds: list[Fold]) -> None:
    """Two horizons, folds or members under one name would take each other's answers."""
    kept = Kept()
    binned = bin_members(MEMBERS, dataset, folds[0].train)
    with ThreadPoolExecutor(2) as pool:
        for horizon in (2, HORIZON):
            own = folds_of(dataset, horizon)
            rest = (SEED, pool, lambda _: None, kept.piece)
            out_of_fold(MEMBERS, binned, dataset, horizon, own, *rest)
            fit_final(MEMBERS, binned, dataset, horizon, *rest)
    assert len(kept) == 2 * len(MEMBERS) * (len(folds) + 1)


def test_a_person_is_told_of_every_training(dataset: Dataset, folds: list[Fold]) -> None:
    told: list[str] = []
    one = MEMBERS[:1]
    binned = bin_members(one, dataset, folds[0].train)
    with ThreadPoolExecutor(1) as pool:
        out_of_fold(one, binned, dataset, HORIZON, folds, SEED, pool, told.append)
        fit_final(one, binned, dataset, HORIZON, SEED, pool, told.append)
    name = one[0].name
    assert told == [
        f"{name}, 5 bars, fold 1 of 2",
        f"{name}, 5 bars, fold 2 of 2",
        f"{name}, 5 bars, final",
    ]
