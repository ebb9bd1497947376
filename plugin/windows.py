"""Which rows lie before the newest one, for a network that looks at a window of them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.buffer import BarBuffer
from plugin.candles import Candles
from plugin.features import LOOKBACK_BARS
from plugin.features.rows import rows_of_history

State = tuple[int, int]
"""What a buffer held: the open time of a bar, and how often anything but the next bar was taken in."""


class EarlierRows(Protocol):
    """The rows of a symbol at the bars before one that is asked about."""

    @property
    def symbol(self) -> str: ...

    @property
    def state(self) -> State | None:
        """Equal for equal rows; None where nothing is to be remembered of them."""
        ...

    def newest(self, n_rows: int) -> NDArray[np.float32] | None:
        """The last `n_rows` of them, (n_rows, 80) as `SEQUENCE.names`; None where one is refused."""
        ...


@dataclass(frozen=True)
class Stretch:
    """Rows computed from `bars` (6, n) as in `Candles`, of which column `last` opened at
    `last_open_ms` and is the bar before the one that is asked about."""

    symbol: str
    timeframe: Timeframe
    bars: NDArray[np.float64]
    last: int
    last_open_ms: int
    state: State | None = None

    def newest(self, n_rows: int) -> NDArray[np.float32] | None:
        """As `EarlierRows`."""
        first = self.last + 1 - n_rows - (LOOKBACK_BARS - 1)
        if first < 0:
            return None
        bars = np.ascontiguousarray(self.bars[:, first : self.last + 1])
        first_open_ms = self.last_open_ms - (bars.shape[1] - 1) * self.timeframe.length_ms
        rows, refusals = rows_of_history(Candles(self.symbol, self.timeframe, first_open_ms, bars))
        return None if refusals[-n_rows:].any() else rows[-n_rows:]


@dataclass(frozen=True)
class Rows:
    """Rows that are there already, (n, 80), the newest last; None where there are none."""

    symbol: str
    rows: NDArray[np.float32] | None
    state: State | None = None

    def newest(self, n_rows: int) -> NDArray[np.float32] | None:
        """As `EarlierRows`."""
        if self.rows is None or len(self.rows) < n_rows:
            return None
        last = self.rows[-n_rows:]
        return None if np.isnan(last).any() else last


def before_newest(buffer: BarBuffer) -> Stretch:
    """The rows before the newest bar of `buffer`: for the close that has just come."""
    return _stretch(buffer, back=1)


def up_to_newest(buffer: BarBuffer) -> Stretch:
    """The rows up to its newest bar: for the close that comes next."""
    return _stretch(buffer, back=0)


def _stretch(buffer: BarBuffer, back: int) -> Stretch:
    opened = buffer.newest_open_ms - back * buffer.timeframe.length_ms
    return Stretch(
        buffer.symbol,
        buffer.timeframe,
        buffer.bars,
        buffer.newest - back,
        opened,
        (opened, buffer.n_merges),
    )
