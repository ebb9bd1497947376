"""Rows, their times and their labels belong together."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from plugin.candles import ABSENT, CLOSE, VOLUME, Candles
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import N_JOINED, joined_history
from tests.support.small_dataset import HORIZONS, dataset_of
from tests.support.small_training import HOUR_MS
from training.dataset import Dataset
from training.labels import label_direction
from training.settings import companions_of


def columns_of_rows(dataset: Dataset, candles: Mapping[str, Candles], symbol: str) -> np.ndarray:
    """The columns of the symbol's bars that its rows stand for."""
    own = dataset.symbol == dataset.symbols.index(symbol)
    return (dataset.known_from_ms[own] - candles[symbol].first_open_ms) // HOUR_MS - 1


def test_rows_stand_in_time_order_and_equal_times_in_the_order_of_symbols(dataset: Dataset) -> None:
    key = dataset.known_from_ms * len(dataset.symbols) + dataset.symbol
    assert (np.diff(key) > 0).all()
    assert set(dataset.symbol) == {0, 1}


def test_the_order_of_symbols_is_the_one_asked_for(candles: Mapping[str, Candles]) -> None:
    turned = dataset_of(candles, ("ETH/USDT", "BTC/USDT"), horizons=(5,))
    assert turned.symbols == ("ETH/USDT", "BTC/USDT")
    assert turned.symbol[:2].tolist() == [0, 1]
    assert turned.known_from_ms[0] == turned.known_from_ms[1]


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
def test_each_row_is_that_of_the_bar_that_closed_then(
    dataset: Dataset, candles: Mapping[str, Candles], symbol: str
) -> None:
    rows, refused = joined_history(candles[symbol], [candles[other] for other in companions_of(symbol)])
    np.testing.assert_array_equal(columns_of_rows(dataset, candles, symbol), np.flatnonzero(~refused))
    own = dataset.symbol == dataset.symbols.index(symbol)
    assert dataset.rows[own].tobytes() == rows[~refused].tobytes()


def test_rows_are_finite_float32_of_all_columns(dataset: Dataset) -> None:
    assert dataset.rows.dtype == np.float32
    assert dataset.rows.shape == (dataset.n_rows, N_JOINED)
    assert np.isfinite(dataset.rows).all()


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
def test_each_label_is_that_of_its_row(
    dataset: Dataset, candles: Mapping[str, Candles], symbol: str, horizon: int
) -> None:
    at = columns_of_rows(dataset, candles, symbol)
    own = dataset.symbol == dataset.symbols.index(symbol)
    expected, found = label_direction(candles[symbol], horizon), dataset.labels[horizon]
    np.testing.assert_array_equal(found.up[own], expected.up[at])
    np.testing.assert_array_equal(found.forward_return[own], expected.forward_return[at])
    np.testing.assert_array_equal(
        found.label_end_ms[own], dataset.known_from_ms[own] + horizon * HOUR_MS
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_past_return_looks_back_as_far_as_the_label_looks_ahead(
    dataset: Dataset, candles: Mapping[str, Candles], horizon: int
) -> None:
    close = candles["BTC/USDT"].bars[CLOSE]
    at = columns_of_rows(dataset, candles, "BTC/USDT")
    np.testing.assert_allclose(
        dataset.labels[horizon].past_return[dataset.symbol == 0],
        np.log(close[at] / close[at - horizon]),
        atol=1e-12,
    )


def test_the_newest_rows_can_be_predicted_and_have_no_label_yet(dataset: Dataset) -> None:
    unknown = np.isnan(dataset.labels[5].up)
    assert unknown.sum() == 5 * len(dataset.symbols)
    assert unknown[-10:].all()


def test_later_bars_change_no_row_and_no_known_label(
    dataset: Dataset, candles: Mapping[str, Candles]
) -> None:
    end_ms = int(dataset.known_from_ms[dataset.n_rows // 2])
    known = dataset_of({name: one.between(0, end_ms) for name, one in candles.items()})
    assert known.rows.tobytes() == dataset.rows[: known.n_rows].tobytes()
    for horizon in HORIZONS:
        before, after = known.labels[horizon], dataset.labels[horizon]
        settled = ~np.isnan(before.up)
        np.testing.assert_array_equal(before.up[settled], after.up[: known.n_rows][settled])
        assert before.past_return.tobytes() == after.past_return[: known.n_rows].tobytes()


def test_bars_before_the_start_warm_features_up_and_give_no_row(
    dataset: Dataset, candles: Mapping[str, Candles]
) -> None:
    since_ms = candles["BTC/USDT"].first_open_ms + 2_000 * HOUR_MS
    later = dataset_of(candles, since_ms=since_ms)
    assert int(later.known_from_ms[0]) == since_ms + HOUR_MS
    assert later.rows.tobytes() == dataset.rows[-later.n_rows :].tobytes()


def test_a_refused_window_gives_no_row(candles: Mapping[str, Candles]) -> None:
    bars = candles["BTC/USDT"].bars.copy()
    bars[ABSENT, 1_000] = 1.0
    bars[VOLUME, 1_000] = 0.0
    with_gap = {**candles, "BTC/USDT": replace(candles["BTC/USDT"], bars=bars)}
    dataset = dataset_of(with_gap, ("BTC/USDT",))
    at = columns_of_rows(dataset, candles, "BTC/USDT")
    assert at[0] == LOOKBACK_BARS - 1
    np.testing.assert_array_equal(np.setdiff1d(np.arange(at[0], 3_000), at), np.arange(1_000, 1_024))


def test_a_companion_that_can_not_be_seen_takes_the_row_away(candles: Mapping[str, Candles]) -> None:
    companion = companions_of("BTC/USDT")[-1]
    late_ms = candles[companion].first_open_ms + 1_000 * HOUR_MS
    late = {**candles, companion: candles[companion].between(late_ms, 2**62)}
    at = columns_of_rows(dataset_of(late, ("BTC/USDT",)), candles, "BTC/USDT")
    assert at[0] == 1_000 + LOOKBACK_BARS - 1
    assert at[-1] == 2_999
