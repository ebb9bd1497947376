"""Bars made up for tests: a random walk that has everything a real market has but meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candles import CLOSE, HIGH, LOW, N_ROWS, OPEN, VOLUME, Candles

HOUR_MS = 3_600_000
HOURLY = Timeframe.parse("1h")
MONDAY_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def random_walk(
    n_bars: int, seed: int = 0, price: float = 100.0, volatility: float = 0.01
) -> NDArray[np.float64]:
    """Bars (6, n): log-normal closes with clustered volatility, wicks and volumes; none absent."""
    random = np.random.default_rng(seed)
    spread = volatility * np.exp(0.5 * np.sin(np.arange(n_bars) / 37.0))
    close = price * np.exp(np.cumsum(spread * random.standard_normal(n_bars)))
    bars = np.zeros((N_ROWS, n_bars))
    bars[OPEN] = np.concatenate([[price], close[:-1]])
    bars[CLOSE] = close
    wicks = np.exp(spread * 0.4 * np.abs(random.standard_normal((2, n_bars))))
    bars[HIGH] = np.maximum(bars[OPEN], close) * wicks[0]
    bars[LOW] = np.minimum(bars[OPEN], close) / wicks[1]
    bars[VOLUME] = random.lognormal(3.0, 1.0, n_bars)
    return bars


def candles_of(bars: NDArray[np.float64], first_open_ms: int = MONDAY_MS) -> Candles:
    """Hourly candles over `bars`."""
    return Candles("TEST/USDT", HOURLY, first_open_ms, np.ascontiguousarray(bars))


def deaden(bars: NDArray[np.float64], first: int, end: int) -> None:
    """Let the market stand still in the columns `first` to `end - 1`: flat bars without volume."""
    bars[OPEN : CLOSE + 1, first:end] = bars[CLOSE, first - 1]
    bars[VOLUME, first:end] = 0.0
