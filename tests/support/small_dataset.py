"""Rows of a simulated market, enough to train on in a second, and the pieces of a walk over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, Candles
from tests.support.small_training import END_MS, HOUR_MS
from training.candles import simulate
from training.dataset import Dataset, build_dataset
from training.models.base import Member
from training.oof import OutOfFold, bin_members, out_of_fold
from training.settings import MEMBERS, REFERENCE_ASSETS, companions_of
from training.splits import Fold, fold_boundaries, walk_forward

N_BARS = 3_000
FIRST_TEST_MS = END_MS - 1_000 * HOUR_MS
EMBARGO_MS = 24 * HOUR_MS
HORIZONS = (2, 5, 24)
SEED = 7


def simulated_candles(folder: Path) -> dict[str, Candles]:
    """Bars of the reference assets, the last of which closes at END_MS."""
    simulate(folder, REFERENCE_ASSETS, "1h", N_BARS, seed=1, end_ms=END_MS)
    store = CandleStore(folder)
    return {name: store.read(SIMULATED_VENUE, "1h", name) for name in REFERENCE_ASSETS}


def dataset_of(
    candles: Mapping[str, Candles],
    symbols: Sequence[str] = ("BTC/USDT", "ETH/USDT"),
    horizons: Sequence[int] = HORIZONS,
    since_ms: int = 0,
    n_judged: int = 2,
) -> Dataset:
    """The dataset of `symbols` with the companions that training gives them."""
    companions = {symbol: companions_of(symbol) for symbol in symbols}
    return build_dataset(candles, symbols, companions, horizons, since_ms, n_judged)


def folds_of(
    dataset: Dataset, horizon: int, n_folds: int = 2, first_test_ms: int = FIRST_TEST_MS
) -> list[Fold]:
    """A walk-forward over all rows from `first_test_ms` on."""
    end_ms = int(dataset.known_from_ms[-1]) + HOUR_MS
    return walk_forward(
        dataset.known_from_ms,
        dataset.labels[horizon].label_end_ms,
        fold_boundaries(first_test_ms, end_ms, n_folds, HOUR_MS),
        EMBARGO_MS,
    )


def predict_out_of_fold(
    dataset: Dataset,
    horizon: int,
    folds: Sequence[Fold],
    members: Sequence[Member] = MEMBERS,
    pool: Executor | None = None,
) -> OutOfFold:
    """Bin, train and predict as `training.retrain` does; on two threads where no pool is given."""
    if pool is None:
        with ThreadPoolExecutor(2) as two:
            return predict_out_of_fold(dataset, horizon, folds, members, two)
    binned = bin_members(members, dataset, folds[0].train)
    return out_of_fold(members, binned, dataset, horizon, folds, SEED, pool, lambda _: None)
