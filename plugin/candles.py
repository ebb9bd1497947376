"""How is a stretch of bars held in memory, and how is a gap in it shown?

Bars lie on the grid of their timeframe without holes. Where the exchange has no bar, a flat bar at the
last close with volume 0 stands in and is marked in the row ABSENT, so that nothing is filled in
silence: `plugin.features` refuses a window with an absent bar among its newest ones or with too many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.bar import BarClosed, Timeframe
from plugin.errors import WrongUse

OPEN, HIGH, LOW, CLOSE, VOLUME, ABSENT = range(6)
N_ROWS = 6
# The venue of a simulated market: every screen that names the venue says what it is.
SIMULATED_VENUE = "simulated"


@dataclass(frozen=True)
class Candles:
    """Bars of one symbol, oldest first.

    `bars` is float64 of shape (6, n), C-contiguous: open, high, low, close, volume, absent (0 or 1).
    Column i opened at `first_open_ms + i * timeframe.length_ms`.
    """

    symbol: str
    timeframe: Timeframe
    first_open_ms: int
    bars: NDArray[np.float64]

    @property
    def n_bars(self) -> int:
        return int(self.bars.shape[1])

    @property
    def open_time_ms(self) -> NDArray[np.int64]:
        return self.first_open_ms + self.timeframe.length_ms * np.arange(self.n_bars, dtype=np.int64)

    def between(self, since_ms: int, until_ms: int) -> Candles:
        """The bars that open in `[since_ms, until_ms)`."""
        length_ms = self.timeframe.length_ms
        first = max(0, -(-(since_ms - self.first_open_ms) // length_ms))
        end = min(self.n_bars, max(first, -(-(until_ms - self.first_open_ms) // length_ms)))
        return Candles(
            self.symbol,
            self.timeframe,
            self.first_open_ms + first * length_ms,
            np.ascontiguousarray(self.bars[:, first:end]),
        )


def closed_bars(candles: Candles, source: str) -> Iterator[BarClosed]:
    """The bars that are not absent, as events received at their close."""
    length_ms = candles.timeframe.length_ms
    for column in (candles.bars[ABSENT] == 0.0).nonzero()[0].tolist():
        opened_ms = candles.first_open_ms + column * length_ms
        opening, high, low, close, volume = candles.bars[:ABSENT, column].tolist()
        yield BarClosed(
            symbol=candles.symbol,
            timeframe=candles.timeframe.name,
            open_time_ms=opened_ms,
            open=opening,
            high=high,
            low=low,
            close=close,
            volume=volume,
            source=source,
            received_ms=opened_ms + length_ms,
        )


def on_grid(
    symbol: str,
    timeframe: Timeframe,
    open_time_ms: NDArray[np.int64],
    ohlcv: NDArray[np.float64],
) -> Candles:
    """Lay bars on the grid and mark the absent ones.

    `open_time_ms` (n,) strictly rising and on the grid; `ohlcv` (5, n). Raises WrongUse otherwise.
    """
    if open_time_ms.size == 0:
        raise WrongUse(f"at least one bar of {symbol}", "none", "fetch candles first")
    steps, offset = np.divmod(open_time_ms - open_time_ms[0], timeframe.length_ms)
    if offset.any() or open_time_ms[0] % timeframe.length_ms or (np.diff(steps) <= 0).any():
        raise WrongUse(
            f"bars of {symbol} in time order on the {timeframe.name} grid, each once",
            "repeated, unordered or off the grid",
            "run `python -m training verify` to see which",
        )
    n_slots = int(steps[-1]) + 1
    source = np.searchsorted(steps, np.arange(n_slots), side="right") - 1
    absent = steps[source] != np.arange(n_slots)
    bars = np.empty((N_ROWS, n_slots))
    bars[:5] = ohlcv[:, source]
    bars[OPEN : CLOSE + 1, absent] = bars[CLOSE, absent]
    bars[VOLUME, absent] = 0.0
    bars[ABSENT] = absent
    return Candles(symbol, timeframe, int(open_time_ms[0]), bars)
