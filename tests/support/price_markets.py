"""Small markets for price forecasts: some that the last move foretells, some that nothing does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.candles import Candles, on_grid
from tests.support.bars import HOURLY, START_MS, SYMBOL

HOUR_MS = HOURLY.length_ms


def market_of(n_bars: int, persistence: float = 0.0, seed: int = 1) -> Candles:
    """Hourly bars whose log returns of 1 % are an AR(1) with `persistence`."""
    random = np.random.default_rng(seed)
    returns = 0.01 * random.standard_normal(n_bars)
    for bar in range(1, n_bars):
        returns[bar] += persistence * returns[bar - 1]
    return bars_at(100.0 * np.exp(np.cumsum(returns)), random)


def bars_at(close: NDArray[np.float64], random: np.random.Generator) -> Candles:
    """Bars with these closes, each opening near the close before."""
    gaps = 1.0 + 1e-4 * random.standard_normal(close.size)
    opening = gaps * np.concatenate([close[:1], close[:-1]])
    high, low = 1.002 * np.maximum(opening, close), 0.998 * np.minimum(opening, close)
    volume = np.exp(random.standard_normal(close.size))
    times = START_MS + HOUR_MS * np.arange(close.size)
    return on_grid(SYMBOL, HOURLY, times, np.stack([opening, high, low, close, volume]))


def without_bars(candles: Candles, *slots: int) -> Candles:
    """The same without the bars in these slots."""
    kept = np.setdiff1d(np.arange(candles.n_bars), slots)
    return on_grid(
        candles.symbol, candles.timeframe, candles.open_time_ms[kept], candles.bars[:5, kept]
    )
