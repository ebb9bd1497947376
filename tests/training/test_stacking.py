"""The stack is judged like a member: by rows that its meta-model never saw."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.features.joined import ROW_NAMES
from plugin.meta_model import HorizonModel, MetaModel, meta_inputs
from shadow.statistics import auc
from tests.support.small_dataset import EMBARGO_MS, FIRST_TEST_MS, folds_of
from training.dataset import Dataset
from training.meta_models import META_KINDS, MetaKind
from training.oof import OutOfFold
from training.splits import Fold
from training.stacking import fit_meta, stack_out_of_fold

HORIZON, SEED = 5, 7
NAMES = ("able", "middling", "blind")
VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


@pytest.fixture(scope="module")
def folds(dataset: Dataset) -> list[Fold]:
    return folds_of(dataset, HORIZON, n_folds=4)


@pytest.fixture(scope="module")
def oof(dataset: Dataset, folds: list[Fold]) -> OutOfFold:
    """Made-up members: one that knows a lot, one that knows a little, one that knows nothing."""
    random = np.random.default_rng(5)
    direction = np.nan_to_num(dataset.labels[HORIZON].up, nan=0.5) - 0.5
    skill = np.array([[0.3], [0.15], [0.0]])
    log_odds = skill * direction + 0.3 * random.normal(size=(3, dataset.n_rows))
    probability = 1.0 / (1.0 + np.exp(-log_odds))
    fold = np.full(dataset.n_rows, -1)
    for one in folds:
        fold[one.test] = one.number
    probability[:, fold < 0] = np.nan
    return OutOfFold(NAMES, probability, fold)


@pytest.fixture(params=META_KINDS)
def kind(request: pytest.FixtureRequest) -> MetaKind:
    found: MetaKind = request.param
    return found


def stack(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], kind: MetaKind = "logistic"
) -> NDArray[np.float64]:
    return stack_out_of_fold(oof, dataset, HORIZON, folds, kind, SEED)


def serving(dataset: Dataset, oof: OutOfFold, kind: MetaKind = "logistic") -> HorizonModel:
    return fit_meta(oof, dataset, HORIZON, kind, SEED)


def turned(dataset: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    labels = dataset.labels[HORIZON]
    other = replace(labels, up=np.where(rows, 1.0 - labels.up, labels.up))
    return replace(dataset, labels={**dataset.labels, HORIZON: other})


def near_or_after(dataset: Dataset, fold: Fold) -> NDArray[np.bool_]:
    return dataset.labels[HORIZON].label_end_ms >= fold.test_start_ms - EMBARGO_MS


def test_the_first_fold_has_no_answer_and_all_later_ones_have(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], kind: MetaKind
) -> None:
    stacked = stack(dataset, oof, folds, kind)
    assert np.isnan(stacked[oof.fold < 1]).all()
    assert ((stacked[oof.fold >= 1] > 0) & (stacked[oof.fold >= 1] < 1)).all()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_labels_near_and_after_a_test_block_do_not_reach_its_answers(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], number: int, kind: MetaKind
) -> None:
    fold = folds[number]
    again = stack(turned(dataset, near_or_after(dataset, fold)), oof, folds, kind)
    assert again[fold.test].tobytes() == stack(dataset, oof, folds, kind)[fold.test].tobytes()


@pytest.mark.parametrize("number", [1, 2])
def test_what_members_say_in_later_folds_does_not_reach_earlier_answers(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], number: int
) -> None:
    later = replace(oof, probability=np.where(oof.fold > number, 0.9, oof.probability))
    early = (oof.fold >= 1) & (oof.fold <= number)
    again = stack(dataset, later, folds)
    assert again[early].tobytes() == stack(dataset, oof, folds)[early].tobytes()


def test_what_members_say_near_a_test_block_is_not_learnt_from(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold]
) -> None:
    fold = folds[2]
    others = near_or_after(dataset, fold) & (dataset.known_from_ms < fold.test_start_ms)
    assert others.sum() > 0
    altered = replace(oof, probability=np.where(others, 0.9, oof.probability))
    again = stack(dataset, altered, folds)
    assert again[fold.test].tobytes() == stack(dataset, oof, folds)[fold.test].tobytes()


def test_labels_of_earlier_folds_do_reach_the_answers(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], kind: MetaKind
) -> None:
    """The control of the tests above."""
    again = stack(turned(dataset, oof.fold == 0), oof, folds, kind)
    for fold in folds[1:]:
        assert not np.array_equal(again[fold.test], stack(dataset, oof, folds, kind)[fold.test])


def test_the_stack_is_better_than_trusting_all_alike(
    dataset: Dataset, oof: OutOfFold, folds: list[Fold], kind: MetaKind
) -> None:
    up = dataset.labels[HORIZON].up
    rows = (oof.fold >= 1) & ~np.isnan(up)
    stacked = auc(stack(dataset, oof, folds, kind)[rows], up[rows])
    alike = auc(oof.probability[:, rows].mean(axis=0), up[rows])
    assert 0.5 < alike < stacked


def test_the_serving_meta_model_trusts_whom_it_should(dataset: Dataset, oof: OutOfFold) -> None:
    """One member after the other says 0.6 while the others say nothing."""
    said = np.full((len(NAMES), len(NAMES)), 0.5) + 0.1 * np.eye(len(NAMES))
    typical = np.median(dataset.rows[:, VOLATILITY_COLUMN]).repeat(len(NAMES))
    model = serving(dataset, oof)
    able, middling, blind = model.probability(meta_inputs(said, typical))
    assert able > middling > blind


@pytest.mark.parametrize("number", range(4))
def test_the_serving_meta_model_learns_from_every_fold(
    dataset: Dataset, oof: OutOfFold, number: int
) -> None:
    other = serving(turned(dataset, oof.fold == number), oof)
    assert other != serving(dataset, oof)


def test_the_serving_meta_model_knows_out_of_fold_rows_only(dataset: Dataset, oof: OutOfFold) -> None:
    outside = dataset.known_from_ms < FIRST_TEST_MS
    assert serving(turned(dataset, outside), oof) == serving(dataset, oof)
    assert serving(turned(dataset, ~outside), oof) != serving(dataset, oof)


def test_the_live_side_reads_the_meta_model_and_says_the_same(
    dataset: Dataset, oof: OutOfFold, kind: MetaKind
) -> None:
    model = serving(dataset, oof, kind)
    text = msgspec.json.encode(MetaModel(NAMES, {str(HORIZON): model}))
    tested = oof.fold >= 0
    volatility = dataset.rows[tested][:, VOLATILITY_COLUMN]
    inputs = meta_inputs(oof.probability[:, tested], volatility)
    read = MetaModel.from_json(text, [HORIZON], NAMES).horizons[str(HORIZON)]
    probability = read.probability(inputs)
    assert probability.tobytes() == model.probability(inputs).tobytes()
    assert ((probability > 0) & (probability < 1)).all()


def test_the_same_rows_give_the_same_meta_model(
    dataset: Dataset, oof: OutOfFold, kind: MetaKind
) -> None:
    assert serving(dataset, oof, kind) == serving(dataset, oof, kind)
