"""What a companion adds is aligned in time, the same live and in history, and means what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candles import CLOSE
from plugin.errors import WrongUse
from plugin.features import (
    LOOKBACK_BARS,
    REFUSALS,
    companion_row,
    companion_rows_of_history,
)
from plugin.features.companion import NAMES
from tests.support.market_candles import load_candles
from tests.support.windows import HOUR_MS, MONDAY_MS, candles_of, deaden, random_walk

NEWEST = LOOKBACK_BARS - 1


def live_row(own: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float32], str]:
    out = np.empty(len(NAMES), dtype=np.float32)
    refusal = companion_row(own, own.shape[1] - 1, other, other.shape[1] - 1, out)
    return out, REFUSALS[refusal]


def values_of(own: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float]:
    row, refusal = live_row(own, other)
    assert refusal == "ok"
    return dict(zip(NAMES, map(float, row), strict=True))


def window_of(bars: NDArray[np.float64], newest: int) -> NDArray[np.float64]:
    return bars[:, newest - LOOKBACK_BARS + 1 : newest + 1].copy()


def test_live_row_equals_history_row_when_the_other_began_earlier() -> None:
    own = candles_of(random_walk(700, seed=1), MONDAY_MS + 50 * HOUR_MS)
    other = candles_of(random_walk(760, seed=2))
    rows, refusals = companion_rows_of_history(own, other)
    for newest in range(NEWEST, own.n_bars):
        row, _ = live_row(window_of(own.bars, newest), window_of(other.bars, newest + 50))
        assert row.tobytes() == rows[newest].tobytes()
    assert (refusals[:NEWEST] == REFUSALS.index("warming_up")).all()
    assert not refusals[NEWEST:].any()


@pytest.mark.market
def test_live_row_equals_history_row_on_real_bars(market: Path) -> None:
    own, other = load_candles(market, "SOL-USDT"), load_candles(market, "BTC-USDT")
    start_ms = own.first_open_ms + 9_000 * HOUR_MS
    own = own.between(start_ms, start_ms + 3_000 * HOUR_MS)
    rows, refusals = companion_rows_of_history(own, other)
    shift = (own.first_open_ms - other.first_open_ms) // HOUR_MS
    for newest in np.random.default_rng(5).integers(NEWEST, own.n_bars, 200):
        row, refusal = live_row(window_of(own.bars, newest), window_of(other.bars, int(newest) + shift))
        assert row.tobytes() == rows[newest].tobytes()
        assert REFUSALS.index(refusal) == refusals[newest]


def test_a_companion_that_began_later_warms_up_and_one_that_ended_is_a_gap() -> None:
    own = candles_of(random_walk(1_200, seed=1))
    other = candles_of(random_walk(600, seed=2), MONDAY_MS + 100 * HOUR_MS)
    rows, refusals = companion_rows_of_history(own, other)
    names = [REFUSALS[code] for code in refusals]
    assert names[100 + NEWEST - 1] == "warming_up"
    assert names[100 + NEWEST : 700] == ["ok"] * (700 - 100 - NEWEST)
    assert set(names[700:]) == {"gap"}
    assert np.isnan(rows[700:]).all()


def test_a_dead_companion_or_a_dead_own_market_refuses_the_pair() -> None:
    alive, dead = random_walk(LOOKBACK_BARS, seed=1), random_walk(LOOKBACK_BARS, seed=2)
    deaden(dead, 480, LOOKBACK_BARS)
    for own, other in ((alive, dead), (dead, alive)):
        row, refusal = live_row(own, other)
        assert refusal == "dead_market"
        assert np.isnan(row).all()


def test_an_asset_beside_itself_has_correlation_one_and_no_residual() -> None:
    bars = random_walk(LOOKBACK_BARS)
    values = values_of(bars, bars)
    assert values["correlation_72"] == pytest.approx(1.0)
    assert values["residual_5"] == pytest.approx(0.0, abs=1e-9)
    assert values["residual_24"] == pytest.approx(0.0, abs=1e-9)
    assert values["price_ratio_z_168"] == 0.0


def test_features_agree_with_numpy() -> None:
    own, other = random_walk(LOOKBACK_BARS, seed=3), random_walk(LOOKBACK_BARS, seed=4)
    other[:5] = np.sqrt(other[:5] * own[:5])
    own_log, other_log = np.log(own[CLOSE]), np.log(other[CLOSE])
    own_returns, other_returns = np.diff(own_log), np.diff(other_log)
    covariance = np.cov(own_returns[-168:], other_returns[-168:])
    beta = covariance[0, 1] / covariance[1, 1]
    price_ratio = (own_log - other_log)[-168:]
    expected = {
        f"return_{k}": (other_log[-1] - other_log[-1 - k]) / other_returns[-72:].std() / k**0.5
        for k in (1, 5, 24)
    }
    for k in (5, 24):
        residual = own_log[-1] - own_log[-1 - k] - beta * (other_log[-1] - other_log[-1 - k])
        expected[f"residual_{k}"] = residual / own_returns[-72:].std() / k**0.5
    expected["correlation_72"] = np.corrcoef(own_returns[-72:], other_returns[-72:])[0, 1]
    expected["price_ratio_z_168"] = (price_ratio[-1] - price_ratio.mean()) / price_ratio.std()
    assert values_of(own, other) == pytest.approx(expected, rel=1e-6)


def test_bars_outside_both_windows_change_nothing() -> None:
    own, other = candles_of(random_walk(900, seed=1)), candles_of(random_walk(900, seed=2))
    rows, _ = companion_rows_of_history(own, other)
    bars = other.bars.copy()
    bars[:5, :200] *= 1.3
    bars[:5, 713:] *= 1.3
    altered, _ = companion_rows_of_history(own, replace(other, bars=bars))
    assert altered[711:713].tobytes() == rows[711:713].tobytes()
    assert altered[713].tobytes() != rows[713].tobytes()


def test_another_timeframe_is_refused() -> None:
    own = candles_of(random_walk(520))
    other = replace(own, timeframe=Timeframe.parse("15m"))
    with pytest.raises(WrongUse, match="one timeframe"):
        companion_rows_of_history(own, other)


def test_a_row_of_another_size_is_not_written_to() -> None:
    bars = random_walk(LOOKBACK_BARS)
    with pytest.raises(ValueError, match="7"):
        companion_row(bars, NEWEST, bars, NEWEST, np.empty(6, dtype=np.float32))
