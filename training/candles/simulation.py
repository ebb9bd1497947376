"""What market can be learnt on where there is no network?

Log prices follow one factor that all symbols share and one of their own. Both have GARCH(1,1) variance
(Bollerslev 1986) and Student-t shocks. A pull back towards the own moving average leaves something to
learn; volume follows the hour of the day and the size of the move.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candle_store import RawBars
from plugin.candles import SIMULATED_VENUE
from plugin.errors import WrongUse
from training.candles.store import CandleWriter

_HOUR_MS = 3_600_000
_HOURLY_VOLATILITY = 0.006  # of log returns, about that of large coins
_GARCH_SHOCK, _GARCH_MEMORY = 0.08, 0.90
_DEGREES_OF_FREEDOM = 5.0
_FACTOR_SHARE = 0.6  # of the variance
_PULL = 0.08  # share of the distance to the moving average that a bar undoes
_AVERAGE_BARS = 12
_STEPS = 6  # inside a bar, for its high and low


def simulate(
    root: Path, symbols: Sequence[str], timeframe: str, n_bars: int, seed: int, end_ms: int
) -> CandleWriter:
    """Write `n_bars` bars for each symbol, the last closed by `end_ms`; the same for the same seed."""
    grid = Timeframe.parse(timeframe)
    if n_bars < 1:
        raise WrongUse("at least one bar to simulate", n_bars, "choose a start before the end")
    random = np.random.default_rng(seed)
    first_ms = grid.floor(end_ms) - n_bars * grid.length_ms
    time_ms = first_ms + grid.length_ms * np.arange(n_bars, dtype=np.int64)
    scale = _HOURLY_VOLATILITY * np.sqrt(grid.length_ms / _HOUR_MS)
    log_close, volatility = _log_prices(random, len(symbols), n_bars, scale)
    store = CandleWriter(root)
    asked = [(first_ms, first_ms + n_bars * grid.length_ms)]
    for row, symbol in enumerate(symbols):
        ohlcv = _bars(random, time_ms, log_close[row], volatility[row])
        store.write(SIMULATED_VENUE, timeframe, symbol, RawBars(time_ms, ohlcv), asked)
    return store


def _log_prices(
    random: np.random.Generator, n_symbols: int, n_bars: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log prices (n_symbols, n_bars + 1) from the start on, and volatilities (n_symbols, n_bars)."""
    degrees = _DEGREES_OF_FREEDOM
    shocks = random.standard_t(degrees, (n_bars, n_symbols + 1)) * np.sqrt((degrees - 2) / degrees)
    factor, own = np.sqrt(_FACTOR_SHARE), np.sqrt(1 - _FACTOR_SHARE)
    variance = np.ones(n_symbols + 1)
    log_price = np.empty((n_bars + 1, n_symbols))
    log_price[0] = np.log(10.0) * random.uniform(0.0, 4.0, n_symbols)
    volatility = np.empty((n_bars, n_symbols))
    average = log_price[0].copy()
    for bar in range(n_bars):
        moves = np.sqrt(variance) * shocks[bar]
        variance = (
            (1 - _GARCH_SHOCK - _GARCH_MEMORY) + _GARCH_SHOCK * moves**2 + _GARCH_MEMORY * variance
        )
        pull = _PULL * (average - log_price[bar])
        log_price[bar + 1] = log_price[bar] + pull + scale * (factor * moves[-1] + own * moves[:-1])
        average += (log_price[bar + 1] - average) * (2 / (_AVERAGE_BARS + 1))
        volatility[bar] = scale * np.sqrt(variance[:-1])
    return np.ascontiguousarray(log_price.T), np.ascontiguousarray(volatility.T)


def _bars(
    random: np.random.Generator,
    time_ms: NDArray[np.int64],
    log_price: NDArray[np.float64],
    volatility: NDArray[np.float64],
) -> NDArray[np.float64]:
    """OHLCV (5, n) whose closes are `log_price[1:]` and whose inner path is a Brownian bridge."""
    move = np.diff(log_price)
    steps = random.standard_normal((move.size, _STEPS)) * (volatility / np.sqrt(_STEPS))[:, None]
    path = np.cumsum(steps, axis=1)
    share = np.arange(1, _STEPS + 1) / _STEPS
    path += log_price[:-1, None] + (move - path[:, -1])[:, None] * share
    open_, close = np.exp(log_price[:-1]), np.exp(log_price[1:])
    high = np.maximum(np.exp(path.max(axis=1)), np.maximum(open_, close))
    low = np.minimum(np.exp(path.min(axis=1)), np.minimum(open_, close))
    hour = time_ms / _HOUR_MS % 24
    busy = 1.0 + 0.5 * np.cos(2 * np.pi * (hour - 15) / 24)  # Europe and America are awake
    noise = random.lognormal(0.0, 0.4, move.size)
    volume = 1e6 / close * busy * noise * (1.0 + np.abs(move) / volatility)
    return np.stack([open_, high, low, close, volume])
