"""A row is a pure function of its window, live and over a history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plugin.candles import CLOSE, HIGH, LOW, OPEN, VOLUME, Candles
from plugin.features import (
    LOOKBACK_BARS,
    REFUSALS,
    SEQUENCE,
    row_of_newest,
    rows_of_history,
)
from tests.support.look_ahead import check_cut_changes_nothing, check_later_bars_change_nothing
from tests.support.market_candles import load_candles
from tests.support.windows import HOUR_MS, MONDAY_MS, candles_of, deaden, random_walk

NEWEST = LOOKBACK_BARS - 1


def live_row(window: NDArray[np.float64], open_time_ms: int) -> tuple[NDArray[np.float32], str]:
    out = np.empty(len(SEQUENCE.names), dtype=np.float32)
    refusal = row_of_newest(window, window.shape[1] - 1, open_time_ms, HOUR_MS, out)
    return out, REFUSALS[refusal]


def rows_of(candles: Candles) -> NDArray[np.float32]:
    return rows_of_history(candles)[0]


def assert_live_equals_history(candles: Candles, newest: NDArray[np.int64]) -> None:
    rows, refusals = rows_of_history(candles)
    for at in newest:
        window = candles.bars[:, at - LOOKBACK_BARS + 1 : at + 1].copy()
        row, refusal = live_row(window, int(candles.open_time_ms[at]))
        assert REFUSALS.index(refusal) == refusals[at]
        assert row.tobytes() == rows[at].tobytes(), f"bar {at} of {candles.symbol}"


def test_live_row_equals_history_row_to_the_last_bit() -> None:
    candles = candles_of(random_walk(900))
    assert_live_equals_history(candles, np.arange(NEWEST, 900))


@pytest.mark.market
@pytest.mark.parametrize("pair", ["BTC-USDT", "ETH-USDT", "SOL-USDT", "LINK-USDT", "DOGE-USDT"])
def test_live_row_equals_history_row_on_real_bars(market: Path, pair: str) -> None:
    candles = load_candles(market, pair)
    random = np.random.default_rng(sum(pair.encode()))
    first = int(random.integers(candles.n_bars - 8_000))
    start_ms = candles.first_open_ms + first * HOUR_MS
    stretch = candles.between(start_ms, start_ms + 8_000 * HOUR_MS)
    assert_live_equals_history(stretch, random.integers(NEWEST, 8_000, 1_000))


def test_the_row_depends_on_the_window_only() -> None:
    candles = candles_of(random_walk(1_200))
    newest = [NEWEST, 700, 1_100, 1_198]
    check_cut_changes_nothing(rows_of, candles, newest)
    check_later_bars_change_nothing(rows_of, candles, newest)


def test_a_row_that_leaks_one_bar_of_the_future_is_caught() -> None:
    def leaking(candles: Candles) -> NDArray[np.float32]:
        rows = rows_of(candles)
        return np.concatenate([rows[1:], rows[-1:]])

    candles = candles_of(random_walk(700))
    with pytest.raises(AssertionError, match="more than its window"):
        check_cut_changes_nothing(leaking, candles, [600])
    with pytest.raises(AssertionError, match="later bars"):
        check_later_bars_change_nothing(leaking, candles, [600])


def test_a_row_that_remembers_bars_before_its_window_is_caught() -> None:
    def remembering(candles: Candles) -> NDArray[np.float32]:
        return rows_of(candles) + np.cumsum(candles.bars[VOLUME])[:, None].astype(np.float32)

    with pytest.raises(AssertionError, match="more than its window"):
        check_cut_changes_nothing(remembering, candles_of(random_walk(700)), [600])


@pytest.mark.parametrize("age", [0, 1, 23, 100, 167, 400])
def test_a_bar_inside_the_window_does_change_the_row(age: int) -> None:
    bars = random_walk(LOOKBACK_BARS)
    row, _ = live_row(bars, MONDAY_MS)
    bars[OPEN : CLOSE + 1, NEWEST - age] *= 1.02
    altered, _ = live_row(bars, MONDAY_MS)
    assert not np.array_equal(row, altered)


def test_only_the_time_features_and_the_longer_bars_know_the_time() -> None:
    bars = random_walk(LOOKBACK_BARS)
    row, _ = live_row(bars, MONDAY_MS)
    later, _ = live_row(bars, MONDAY_MS + 29 * HOUR_MS)
    changed = {name for name, is_same in zip(SEQUENCE.names, row == later, strict=True) if not is_same}
    assert {"hour_sin", "hour_cos", "weekday_sin", "weekday_cos"} <= changed
    assert all(name.startswith(("hour", "weekday", "longer")) for name in changed)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_neither_the_unit_of_price_nor_that_of_volume_matters(factor: float) -> None:
    bars = random_walk(LOOKBACK_BARS)
    row, _ = live_row(bars, MONDAY_MS)
    scaled = bars.copy()
    scaled[OPEN : CLOSE + 1] *= factor
    scaled[VOLUME] *= factor * 11.0
    scaled_row, _ = live_row(scaled, MONDAY_MS)
    np.testing.assert_allclose(scaled_row, row, rtol=1e-5, atol=1e-6)


def test_a_refused_row_is_nan_live_and_in_history() -> None:
    bars = random_walk(LOOKBACK_BARS + 30)
    deaden(bars, LOOKBACK_BARS, LOOKBACK_BARS + 30)
    row, refusal = live_row(bars, MONDAY_MS)
    rows, refusals = rows_of_history(candles_of(bars))
    assert refusal == "dead_market"
    assert np.isnan(row).all()
    assert [REFUSALS[code] for code in refusals[[NEWEST - 1, NEWEST, -1]]] == [
        "warming_up",
        "ok",
        "dead_market",
    ]
    assert np.isnan(rows[refusals != 0]).all()
    assert np.isfinite(rows[refusals == 0]).all()


def test_a_row_of_another_size_is_not_written_to() -> None:
    bars = random_walk(LOOKBACK_BARS)
    with pytest.raises(ValueError, match="80"):
        row_of_newest(bars, NEWEST, MONDAY_MS, HOUR_MS, np.empty(79, dtype=np.float32))
    with pytest.raises(ValueError, match="6"):
        row_of_newest(bars[:5].copy(), NEWEST, MONDAY_MS, HOUR_MS, np.empty(80, dtype=np.float32))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    price=st.sampled_from([1e-8, 1.0, 1e8]),
    volatility=st.sampled_from([0.0, 1e-15, 1e-6, 0.01, 0.3]),
    flat=st.lists(st.tuples(st.integers(1, 511), st.integers(1, 300)), max_size=3),
    silent=st.lists(st.tuples(st.integers(0, 511), st.integers(1, 300)), max_size=2),
    spikes=st.lists(st.tuples(st.integers(0, 511), st.sampled_from([1e-6, 0.5, 3.0, 1e6])), max_size=3),
    volume=st.sampled_from([1e-12, 1.0, 1e15]),
)
def test_a_valid_window_gives_finite_values_or_a_refusal(
    seed: int,
    price: float,
    volatility: float,
    flat: list[tuple[int, int]],
    silent: list[tuple[int, int]],
    spikes: list[tuple[int, float]],
    volume: float,
) -> None:
    bars = random_walk(LOOKBACK_BARS, seed, price, volatility)
    bars[VOLUME] *= volume
    for at, factor in spikes:
        bars[OPEN : CLOSE + 1, at] *= factor
    for first, n_bars in flat:
        deaden(bars, first, first + n_bars)
    for first, n_bars in silent:
        bars[VOLUME, first : first + n_bars] = 0.0
    row, refusal = live_row(bars, MONDAY_MS)
    assert refusal in {"ok", "dead_market"}
    assert np.isfinite(row).all() == (refusal == "ok")


def test_prices_without_any_range_give_neutral_shapes() -> None:
    bars = random_walk(LOOKBACK_BARS)
    for row in (OPEN, HIGH, LOW):
        bars[row] = bars[CLOSE]
    values = dict(zip(SEQUENCE.names, live_row(bars, MONDAY_MS)[0], strict=True))
    neutral = (
        "body",
        "upper_wick",
        "lower_wick",
        "close_location",
        "close_location_5",
        "wick_balance_24",
    )
    assert all(values[name] == 0.0 for name in neutral)
    assert values["parkinson_ratio_24"] == 0.0


@pytest.mark.market
@pytest.mark.parametrize("pair", ["FTT-USDT", "RAY-USDT", "WAVES-USDT"])
def test_dead_contracts_are_refused_and_all_else_is_finite(market: Path, pair: str) -> None:
    rows, refusals = rows_of_history(load_candles(market, pair, "degenerate"))
    assert np.isfinite(rows[refusals == 0]).all()
    assert np.isnan(rows[refusals != 0]).all()
    assert (refusals == REFUSALS.index("dead_market")).any()
    assert not (refusals == REFUSALS.index("not_finite")).any()


@pytest.mark.market
def test_absent_bars_of_a_real_history_lead_to_refusals(market: Path) -> None:
    candles = load_candles(market, "BTC-USDT")
    stretch = replace(candles, bars=np.ascontiguousarray(candles.bars[:, :6_000]))
    rows, refusals = rows_of_history(stretch)
    assert (refusals == REFUSALS.index("gap")).any()
    assert np.isfinite(rows[refusals == 0]).all()
