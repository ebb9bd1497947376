"""TA-Lib, given the same 512 bars, has the same value at the newest one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from plugin.candles import CLOSE, HIGH, LOW, VOLUME
from plugin.features import LOOKBACK_BARS, SEQUENCE, rows_of_history
from tests.support.market_candles import load_candles
from tests.support.windows import HOUR_MS, candles_of, random_walk

N_WINDOWS = 150


def _money_flow(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    volume: NDArray[np.float64],
) -> dict[str, float]:
    # Typical prices that are equal on paper may differ in the last bit; TA-Lib takes that for a move.
    typical = talib.TYPPRICE(high, low, close)
    change = np.abs(np.diff(typical[-15:]))
    if ((change > 0.0) & (change < 1e-12 * typical[-1])).any():
        return {}
    return {"mfi_14": talib.MFI(high, low, close, volume, 14)[-1]}


def talib_row(bars: NDArray[np.float64]) -> dict[str, float]:
    """The features that TA-Lib has an indicator for, of one window."""
    high, low, close, volume = bars[HIGH], bars[LOW], bars[CLOSE], bars[VOLUME]
    typical = talib.TYPPRICE(high, low, close)
    log_close = np.log(close)
    log_return = np.diff(log_close)
    unit = talib.STDDEV(log_return, 72)[-1]
    atr = talib.ATR(high, low, close, 14)[-1]
    macd, _, histogram = talib.MACD(close, 12, 26, 9)
    plus, minus = talib.PLUS_DI(high, low, close, 14)[-1], talib.MINUS_DI(high, low, close, 14)[-1]
    upper, middle, lower = (band[-1] for band in talib.BBANDS(close, 20, 2.0, 2.0))
    return {
        **{f"rsi_{n}": talib.RSI(close, n)[-1] for n in (7, 14, 28)},
        **{
            f"sma_distance_{n}": np.log(close[-1] / talib.SMA(close, n)[-1]) / unit / n**0.5
            for n in (6, 24, 72, 200)
        },
        **{
            f"donchian_position_{n}": talib.STOCHF(high, low, close, n, 1)[0][-1] / 100.0
            for n in (24, 72, 168)
        },
        **{f"slope_{n}": talib.LINEARREG_SLOPE(log_close, n)[-1] * n**0.5 / unit for n in (24, 96)},
        "stochastic_14_3": talib.STOCH(high, low, close, 14, 3, 0, 1)[0][-1],
        "cci_20": talib.CCI(high, low, close, 20)[-1],
        **_money_flow(high, low, close, volume),
        "bollinger_position_20": (close[-1] - lower) / (upper - lower),
        "bollinger_width_20": (upper - lower) / middle,
        "macd_12_26": macd[-1] / atr,
        "macd_histogram_12_26_9": histogram[-1] / atr,
        "adx_14": talib.ADX(high, low, close, 14)[-1],
        "di_balance_14": (plus - minus) / (plus + minus),
        "aroon_25": talib.AROONOSC(high, low, 25)[-1],
        "atr_ratio_14": atr / close[-1],
        "true_range_ratio_14": talib.TRANGE(high, low, close)[-1] / atr,
        "vwap_distance_24": np.log(
            close[-1] / (talib.SUM(typical * volume, 24)[-1] / talib.SUM(volume, 24)[-1])
        )
        / unit
        / 24**0.5,
        "volume_return_correlation_48": talib.CORREL(log_return, volume[1:], 48)[-1],
        "r2_24": talib.CORREL(log_close, np.arange(float(close.size)), 24)[-1] ** 2,
    }


def assert_agrees(bars: NDArray[np.float64], row: NDArray[np.float32]) -> None:
    ours = dict(zip(SEQUENCE.names, row, strict=True))
    expected = talib_row(bars)
    np.testing.assert_allclose(
        [ours[name] for name in expected],
        list(expected.values()),
        rtol=1e-6,
        atol=1e-6,
        err_msg=str(list(expected)),
    )


def test_indicators_agree_on_made_up_bars() -> None:
    bars = random_walk(LOOKBACK_BARS + 40)
    rows, _ = rows_of_history(candles_of(bars))
    for newest in range(LOOKBACK_BARS - 1, bars.shape[1]):
        assert_agrees(bars[:, newest - LOOKBACK_BARS + 1 : newest + 1].copy(), rows[newest])


@pytest.mark.market
@pytest.mark.parametrize("pair", ["BTC-USDT", "SOL-USDT", "XLM-USDT"])
def test_indicators_agree_on_real_bars(market: Path, pair: str) -> None:
    candles = load_candles(market, pair)
    start_ms = candles.first_open_ms + 12_000 * HOUR_MS
    stretch = candles.between(start_ms, start_ms + 6_000 * HOUR_MS)
    rows, refusals = rows_of_history(stretch)
    for newest in np.random.default_rng(3).choice(np.flatnonzero(refusals == 0), N_WINDOWS):
        assert_agrees(stretch.bars[:, newest - LOOKBACK_BARS + 1 : newest + 1].copy(), rows[newest])
