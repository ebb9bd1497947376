"""Would this suite see a leak? Each kind is made on purpose here, beside the walk that is free of it.

A figure that is too good is a defect until it is explained: these tests say how good is too good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candle_store import CandleStore
from plugin.candles import Candles
from plugin.features.rows import rows_of_history
from shadow.statistics import Estimate, auc_interval
from tests.support.look_ahead import check_cut_changes_nothing, check_later_bars_change_nothing
from tests.support.small_dataset import FIRST_TEST_MS, dataset_of, folds_of, predict_out_of_fold
from tests.support.small_training import HOUR_MS
from training.dataset import Dataset
from training.models.base import Member
from training.settings import MEMBERS, REFERENCE_ASSETS
from training.splits import Fold
from training.stacking import stack_out_of_fold

_BLOCK_BARS = 48


@pytest.fixture(scope="module")
def real(market: Path) -> Dataset:
    """BTC/USDT, the newest year and a half."""
    store, end_ms = CandleStore(market), 1_751_241_600_000  # 2025-06-30
    since_ms = end_ms - 14_000 * HOUR_MS
    candles = {
        name: store.read("binance_spot", "1h", name, since_ms, end_ms) for name in REFERENCE_ASSETS
    }
    return dataset_of(candles, ("BTC/USDT",), horizons=(5, 24), n_judged=1)


def middle_ms(dataset: Dataset) -> int:
    return int(dataset.known_from_ms[dataset.n_rows // 2])


def areas(
    dataset: Dataset, horizon: int, folds: Sequence[Fold], members: Sequence[Member] = MEMBERS
) -> dict[str, Estimate]:
    """The area under the curve of every member and of the stack, over all rows of all folds."""
    oof = predict_out_of_fold(dataset, horizon, folds, members)
    said = dict(zip(oof.members, oof.probability, strict=True))
    said["stack"] = stack_out_of_fold(oof, dataset, horizon, folds, "logistic", 7)
    up, bar = dataset.labels[horizon].up, dataset.known_from_ms // HOUR_MS
    judged = {name: ~np.isnan(p) & ~np.isnan(up) for name, p in said.items()}
    return {
        name: auc_interval(p[judged[name]], up[judged[name]], horizon, bar[judged[name]])
        for name, p in said.items()
    }


def shifted_by_one_bar(dataset: Dataset) -> Dataset:
    """Every row carries the features of the bar after it."""
    rows = dataset.rows.copy()
    for number in range(len(dataset.symbols)):
        own = np.flatnonzero(dataset.symbol == number)
        rows[own[:-1]] = dataset.rows[own[1:]]
    return replace(dataset, rows=rows)


def with_labels_shuffled(dataset: Dataset, horizon: int, seed: int) -> Dataset:
    """Labels dealt out anew in blocks, which leaves them as alike to their neighbours as they were."""
    n_rows = _BLOCK_BARS * len(dataset.symbols)
    blocks = np.split(np.arange(dataset.n_rows), np.arange(n_rows, dataset.n_rows, n_rows))
    np.random.default_rng(seed).shuffle(blocks)
    order = np.concatenate(blocks)
    labels = dataset.labels[horizon]
    dealt = replace(labels, up=labels.up[order], forward_return=labels.forward_return[order])
    return replace(dataset, labels={horizon: dealt})


def shuffled_folds(dataset: Dataset, n_folds: int = 3) -> list[Fold]:
    """The K-fold that textbooks use for rows that do not know each other: neighbours on both sides."""
    order = np.random.default_rng(0).permutation(dataset.n_rows)
    return [
        Fold(number, 0, 0, np.setdiff1d(order, part), np.sort(part))
        for number, part in enumerate(np.array_split(order, n_folds))
    ]


def _rows(candles: Candles) -> NDArray[np.float32]:
    return rows_of_history(candles)[0]


def _rows_of_the_next_bar(candles: Candles) -> NDArray[np.float32]:
    return np.roll(_rows(candles), -1, axis=0)


def test_the_look_ahead_check_passes_honest_rows_and_catches_rows_of_the_next_bar(
    candles: Mapping[str, Candles],
) -> None:
    own = candles["BTC/USDT"]
    own = own.between(own.first_open_ms, own.first_open_ms + 1_000 * HOUR_MS)
    newest = [600, 700, 998]
    check_later_bars_change_nothing(_rows, own, newest)
    check_cut_changes_nothing(_rows, own, newest)
    with pytest.raises(AssertionError, match="row 600 sees later bars"):
        check_later_bars_change_nothing(_rows_of_the_next_bar, own, newest)
    with pytest.raises(AssertionError, match="row 600 sees more than its window"):
        check_cut_changes_nothing(_rows_of_the_next_bar, own, newest)


def test_features_of_the_next_bar_are_too_good_to_be_true_and_honest_ones_are_not(
    dataset: Dataset,
) -> None:
    folds = folds_of(dataset, horizon=2)
    honest = areas(dataset, 2, folds)
    leaked = areas(shifted_by_one_bar(dataset), 2, folds)
    for name in honest:
        assert honest[name].estimate < 0.65, name
        assert leaked[name].low > 0.65, name


def test_shuffled_labels_are_not_predictable(dataset: Dataset) -> None:
    check_nothing_is_learnt(dataset, FIRST_TEST_MS)


@pytest.mark.market
def test_shuffled_labels_of_real_bars_are_not_predictable(real: Dataset) -> None:
    check_nothing_is_learnt(real, middle_ms(real))


def check_nothing_is_learnt(dataset: Dataset, first_test_ms: int) -> None:
    """One interval in twenty misses 0.5 by chance alone, so each source must hold it twice in three."""
    folds = folds_of(dataset, 5, n_folds=3, first_test_ms=first_test_ms)
    deals = [areas(with_labels_shuffled(dataset, 5, seed), 5, folds) for seed in range(3)]
    for name in deals[0]:
        held = [deal[name].low <= 0.5 <= deal[name].high for deal in deals]
        assert sum(held) >= 2, (name, [deal[name].estimate for deal in deals])


def test_a_shuffled_k_fold_finds_skill_even_in_shuffled_labels(dataset: Dataset) -> None:
    """The control of the two tests above: where rows know their neighbours' labels, they fail."""
    meaningless = with_labels_shuffled(dataset, 24, seed=0)
    leaky = areas(meaningless, 24, shuffled_folds(dataset), MEMBERS[:1])
    assert leaky[MEMBERS[0].name].low > 0.5


@pytest.mark.market
def test_a_shuffled_k_fold_promises_on_real_bars_what_the_walk_forward_does_not_keep(
    real: Dataset,
) -> None:
    [first] = MEMBERS[:1]
    honest = areas(real, 24, folds_of(real, 24, 3, middle_ms(real)), [first])[first.name]
    leaky = areas(real, 24, shuffled_folds(real), [first])[first.name]
    assert leaky.estimate > honest.estimate + 0.05
    assert leaky.low > honest.estimate
