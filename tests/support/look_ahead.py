"""Does a row see anything but its own window?

The checks know nothing of how rows are made: they take any function from candles to rows, so that they
can be shown to fail on one that leaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plugin.candles import CLOSE, VOLUME, Candles
from plugin.features import LOOKBACK_BARS

RowsOf = Callable[[Candles], NDArray[np.float32]]


def _assert_same_bits(is_row: NDArray[np.float32], must_be: NDArray[np.float32], what: str) -> None:
    assert is_row.tobytes() == must_be.tobytes(), what


def check_cut_changes_nothing(rows_of: RowsOf, candles: Candles, newest: Iterable[int]) -> None:
    """The row of a bar is the same when its window is all there is."""
    rows = rows_of(candles)
    length_ms = candles.timeframe.length_ms
    for at in newest:
        first_ms = candles.first_open_ms + (at - LOOKBACK_BARS + 1) * length_ms
        window = candles.between(first_ms, first_ms + LOOKBACK_BARS * length_ms)
        _assert_same_bits(rows_of(window)[-1], rows[at], f"row {at} sees more than its window")


def check_later_bars_change_nothing(rows_of: RowsOf, candles: Candles, newest: Iterable[int]) -> None:
    """The row of a bar is the same whatever the bars after it are."""
    rows = rows_of(candles)
    for at in newest:
        bars = candles.bars.copy()
        bars[: CLOSE + 1, at + 1 :] *= 1.5
        bars[VOLUME, at + 1 :] *= 7.0
        altered = rows_of(replace(candles, bars=bars))
        _assert_same_bits(altered[at], rows[at], f"row {at} sees later bars")
