"""Which bars, rows and blocks of time does a training use, and are they enough?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import Candles
from plugin.clock import SystemClock
from plugin.errors import WrongUse
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import lookback_of
from training.candles import verify
from training.candles.verification import MAX_UNUSABLE_SHARE
from training.dataset import Dataset, build_dataset
from training.settings import TrainingSettings, companions_of
from training.splits import Fold, fold_boundaries, walk_forward

Folds = Mapping[int, Sequence[Fold]]

# The next fold's meta-model learns from what embargo and labels leave of a test block: most of it.
_BLOCKS_PER_PURGE = 5


def read_candles(settings: TrainingSettings, store: CandleStore) -> dict[str, Candles]:
    """The bars of all symbols and companions; raises WrongUse where those of one can not be used."""
    names = dict.fromkeys(
        name for symbol in settings.learnt_symbols for name in (symbol, *companions_of(symbol))
    )
    return {
        name: usable_candles(
            store, settings.venue, settings.timeframe, name, until_ms=settings.until_ms
        )
        for name in names
    }


def usable_candles(
    store: CandleStore,
    venue: str,
    timeframe: str,
    symbol: str,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Candles:
    """The bars of one symbol, verified first; raises WrongUse where they can not be used."""
    raw = store.read_raw(venue, timeframe, symbol)
    found = verify(raw, Timeframe.parse(timeframe), SystemClock().now_ms())
    failures = found.failures(MAX_UNUSABLE_SHARE)
    if failures:
        remedy = "see `python -m training verify --details`"
        raise WrongUse(f"usable bars of {symbol}", "; ".join(failures), remedy)
    return store.read(venue, timeframe, symbol, since_ms, until_ms)


def rows_and_labels(settings: TrainingSettings, candles: Mapping[str, Candles]) -> Dataset:
    """The rows of all symbols that are learnt from; raises WrongUse where one has none."""
    dataset = build_dataset(
        candles,
        settings.learnt_symbols,
        {symbol: companions_of(symbol) for symbol in settings.learnt_symbols},
        settings.horizons,
        settings.since_ms,
        len(settings.symbols),
        settings.n_columns,
    )
    for number, symbol in enumerate(dataset.symbols):
        if not (dataset.symbol == number).any():
            raise WrongUse(
                f"bars of {symbol} with {lookback_of(settings.n_columns)} bars before them, and of its"
                f" companions with {LOOKBACK_BARS}",
                "none",
                "choose an earlier start or fetch a longer history",
            )
    return dataset


def split_rows(settings: TrainingSettings, dataset: Dataset) -> Folds:
    """By horizon the walk-forward, over the same test blocks; raises WrongUse where these are short."""
    boundaries_ms = _boundaries(settings, dataset)
    embargo_ms = _embargo_ms(settings)
    if settings.tuning is not None:
        settings.tuning.check_unseen(boundaries_ms[0], embargo_ms)
    return {
        horizon: walk_forward(dataset.known_from_ms, labels.label_end_ms, boundaries_ms, embargo_ms)
        for horizon, labels in dataset.labels.items()
    }


def first_block(settings: TrainingSettings, dataset: Dataset) -> Dataset:
    """The rows that every fold learns from: at no horizon a label of theirs reaches a test block or the
    embargo before it. What is chosen by them is chosen without a look at any test block."""
    tested_ms = [*_first_test_and_end(settings, dataset)]
    label_end_ms = dataset.labels[max(settings.horizons)].label_end_ms
    [fold] = walk_forward(dataset.known_from_ms, label_end_ms, tested_ms, _embargo_ms(settings))
    return dataset.only(fold.train)


def _embargo_ms(settings: TrainingSettings) -> int:
    return settings.embargo_bars * Timeframe.parse(settings.timeframe).length_ms


def _first_test_and_end(settings: TrainingSettings, dataset: Dataset) -> tuple[int, int]:
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    start_ms, end_ms = int(dataset.known_from_ms[0]), int(dataset.known_from_ms[-1]) + length_ms
    n_first = int((end_ms - start_ms) // length_ms * settings.first_train_share)
    return start_ms + n_first * length_ms, end_ms


def _boundaries(settings: TrainingSettings, dataset: Dataset) -> list[int]:
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    first_test_ms, end_ms = _first_test_and_end(settings, dataset)
    boundaries_ms = fold_boundaries(
        first_test_ms=first_test_ms,
        end_ms=end_ms,
        n_folds=settings.n_folds,
        length_ms=length_ms,
    )
    shortest = (boundaries_ms[1] - boundaries_ms[0]) // length_ms
    needed = _BLOCKS_PER_PURGE * (settings.embargo_bars + max(settings.horizons))
    if shortest < needed:
        was = f"{settings.n_folds} blocks of about {shortest}"
        remedy = "use a longer history or fewer folds"
        raise WrongUse(f"test blocks of at least {needed} bars", was, remedy)
    return boundaries_ms
