"""Small honest bars for tests: one symbol on an hourly grid."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from plugin.bar import BarClosed, Timeframe
from plugin.candles import Candles, on_grid

HOURLY = Timeframe.parse("1h")
START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
SYMBOL = "BTC/USDT"


def open_ms(slot: int) -> int:
    """The open time of the bar in `slot`; slot 0 opens at START_MS."""
    return START_MS + slot * HOURLY.length_ms


def bar_at(slot: int, close: float = 100.0, symbol: str = SYMBOL) -> BarClosed:
    """A valid bar around `close`, whose volume tells the slot."""
    ohlc = (close - 0.5, close + 1.0, close - 1.0, close)
    return BarClosed(symbol, "1h", open_ms(slot), *ohlc, float(abs(slot)), "test", open_ms(slot + 1))


def candles_of(bars: Iterable[BarClosed]) -> Candles:
    """The bars on their grid; of bars with one open time the last counts."""
    by_time = {bar.open_time_ms: bar for bar in bars}
    times = sorted(by_time)
    ohlcv = np.array([by_time[time].ohlcv for time in times]).T
    return on_grid(by_time[times[0]].symbol, HOURLY, np.array(times, dtype=np.int64), ohlcv)
