"""Which bars does the live side hold, and what does one more bar do to them?

A bar is placed by its open time on the grid, never by its position in a reply. Whatever the order in
which bars arrive, the buffer holds what `plugin.candles.on_grid` makes of the same bars. The bars that
make a window unfit for a prediction are refused in `plugin.features`, not here.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bar import BarClosed, Timeframe
from plugin.candles import ABSENT, CLOSE, HIGH, LOW, N_ROWS, OPEN, VOLUME, Candles
from plugin.errors import BarRejected, WrongUse
from plugin.features import LOOKBACK_BARS

LONGEST_WINDOW = 192
"""Of the rows that a network may look at."""
HELD_BARS = LOOKBACK_BARS + LONGEST_WINDOW - 1
Ohlcv = tuple[float, float, float, float, float]


class ArrivalKind(Enum):
    """What a bar was to the buffer when it came."""

    NEW = "new"  # the next one on the grid, or the very first
    REPEAT = "repeat"  # held already, with the same values: nothing changed
    REVISION = "revision"  # held already, with other values: the later ones are held now
    LATE = "late"  # older than the newest, not held before: filled in, or too old to matter
    AFTER_GAP = "after_gap"  # bars before it are missing: flat ones stand in, marked absent


class Arrival(msgspec.Struct, frozen=True):
    """`n_missing` bars are absent just before this one; `seen` is what a revision has replaced."""

    kind: ArrivalKind
    n_missing: int = 0
    seen: Ohlcv | None = None


# Appended in place before the held bars are shifted to the front: few, so that a thousand symbols fit
# into little memory, and enough to make the shift rare.
_SPARE_BARS = 64

_NEW: Final = Arrival(ArrivalKind.NEW)
_REPEAT: Final = Arrival(ArrivalKind.REPEAT)
_LATE: Final = Arrival(ArrivalKind.LATE)
_EMPTY: Final = 2.0  # in the row ABSENT, while merging: nothing was laid here yet


class BarBuffer:
    """The newest bars of one symbol, as rows that the feature kernels read without a copy.

    `bars` is float64 (6, more than lookback), C-contiguous, rows as in `plugin.candles`, and stays one
    array unless more are to be held. Column `newest` (-1 while empty) holds the bar that opened at
    `newest_open_ms`; the `n_bars` columns up to and with it are held, the older ones first. The newest
    bar is never absent. `n_merges` counts what was taken in otherwise than as the next bar: while it
    stays, what is held of the past has not changed.
    """

    def __init__(self, symbol: str, timeframe: Timeframe, lookback: int = HELD_BARS) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.lookback = lookback
        self.bars: NDArray[np.float64] = np.zeros((N_ROWS, lookback + _SPARE_BARS))
        self.newest = -1
        self.newest_open_ms = 0
        self.n_merges = 0
        self._length_ms = timeframe.length_ms

    @property
    def n_bars(self) -> int:
        return min(self.newest + 1, self.lookback)

    def hold(self, n_bars: int) -> bool:
        """Have room for as many bars from now on; whether there was not. None is let go."""
        if n_bars <= self.lookback:
            return False
        room = np.zeros((N_ROWS, n_bars + _SPARE_BARS))
        room[:, : self.bars.shape[1]] = self.bars
        self.lookback, self.bars = n_bars, room
        return True

    def push(self, bar: BarClosed) -> Arrival:
        """Take in a bar that `check_bar` has passed. Raises BarRejected for one off the grid."""
        steps, offset = divmod(bar.open_time_ms - self.newest_open_ms, self._length_ms)
        if offset:
            raise BarRejected(
                "off_grid", f"an open time on the {self.timeframe.name} grid", bar.open_time_ms
            )
        if steps == 1 or self.newest < 0:
            self._append(bar)
            return _NEW
        if steps > 1:
            self._merge(bar.open_time_ms, _column(bar))
            return Arrival(ArrivalKind.AFTER_GAP, n_missing=steps - 1)
        return self._place(bar, self.newest + steps)

    def extend(self, candles: Candles) -> None:
        """Take in a stretch of history; where it differs from what is held, it goes before.

        Raises WrongUse for candles of another symbol or timeframe.
        """
        if (candles.symbol, candles.timeframe) != (self.symbol, self.timeframe):
            was = f"{candles.symbol} {candles.timeframe.name}"
            raise WrongUse(
                f"candles of {self.symbol} {self.timeframe.name}", was, "pass the right ones"
            )
        present = np.flatnonzero(candles.bars[ABSENT] == 0.0)
        if present.size:
            self._merge(candles.first_open_ms, candles.bars[:, : present[-1] + 1])

    def _append(self, bar: BarClosed) -> None:
        bars, column = self.bars, self.newest + 1
        if column == bars.shape[1]:
            column = self.lookback - 1
            bars[:, :column] = bars[:, -column:]
        bars[OPEN, column] = bar.open
        bars[HIGH, column] = bar.high
        bars[LOW, column] = bar.low
        bars[CLOSE, column] = bar.close
        bars[VOLUME, column] = bar.volume
        bars[ABSENT, column] = 0.0
        self.newest = column
        self.newest_open_ms = bar.open_time_ms

    def _place(self, bar: BarClosed, column: int) -> Arrival:
        """Take in a bar that is not newer than the newest; `column` is where it would stand."""
        if column <= self.newest - self.lookback:
            return _LATE
        if column < 0 or self.bars[ABSENT, column]:
            self._merge(bar.open_time_ms, _column(bar))
            return _LATE
        o, h, low, c, v = self.bars[:ABSENT, column].tolist()
        seen = (o, h, low, c, v)
        if seen == bar.ohlcv:
            return _REPEAT
        self._merge(bar.open_time_ms, _column(bar))
        return Arrival(ArrivalKind.REVISION, seen=seen)

    def _merge(self, first_open_ms: int, block: NDArray[np.float64]) -> None:
        """Lay `block` (6, n), whose last column is a bar, over what is held, and mark what is absent.

        Only the bars of `block` replace what is held; what is older than the lookback is let go. This
        is the slow way in, tens of microseconds, and it leaves the oldest column at index 0.
        """
        self.n_merges += 1
        length_ms, lookback = self._length_ms, self.lookback
        held = self.bars[:, self.newest + 1 - self.n_bars : self.newest + 1]
        held_open_ms = self.newest_open_ms - (self.n_bars - 1) * length_ms
        newest_open_ms = max(first_open_ms + (block.shape[1] - 1) * length_ms, self.newest_open_ms)
        origin_ms = newest_open_ms - (lookback - 1) * length_ms
        slots = np.zeros((N_ROWS, lookback))
        slots[ABSENT] = _EMPTY
        _lay(slots, (held_open_ms - origin_ms) // length_ms, held)
        _lay(slots, (first_open_ms - origin_ms) // length_ms, block)
        slots = slots[:, np.argmax(slots[ABSENT] != _EMPTY) :]
        _flatten_absent(slots)
        self.newest = slots.shape[1] - 1
        self.newest_open_ms = newest_open_ms
        self.bars[:, : slots.shape[1]] = slots


def _column(bar: BarClosed) -> NDArray[np.float64]:
    return np.array([*bar.ohlcv, 0.0]).reshape(N_ROWS, 1)


def _lay(slots: NDArray[np.float64], start: int, block: NDArray[np.float64]) -> None:
    """Write `block` from column `start` on (negative too); its absent columns replace no bar."""
    block = block[:, max(0, -start) :]
    target = slots[:, max(0, start) : max(0, start) + block.shape[1]]
    wins = (block[ABSENT] == 0.0) | (target[ABSENT] == _EMPTY)
    target[:, wins] = block[:, wins]


def _flatten_absent(slots: NDArray[np.float64]) -> None:
    """Give absent columns, whose volume is 0, the last close; those before all bars keep theirs."""
    absent = slots[ABSENT] != 0.0
    last_bar = np.maximum.accumulate(np.where(absent, -1, np.arange(absent.size)))
    stale = absent & (last_bar >= 0)
    slots[OPEN : CLOSE + 1, stale] = slots[CLOSE, last_bar[stale]]
    slots[ABSENT, stale] = 1.0
