"""What do the same bars say as longer ones, of which the newest ends with the newest bar?

`multiple` bars make a longer one. The longer bars are laid anew at every close, back from its end: they
are complete at any hour, where the newest on the grid of a longer timeframe may be `multiple` bars old.
Their features are the base ones, over 512 of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, HIGH, LOW, N_ROWS, OPEN, VOLUME, Candles
from plugin.features.compiled import compiled
from plugin.features.feature_set import BASE, SEQUENCE
from plugin.features.rows import row_of_newest, write_rows
from plugin.features.window import LOOKBACK_BARS, WARMING_UP

_N_BASE = len(BASE.names)
_N_WRITTEN = len(SEQUENCE.names)


@compiled
def _merge(bars: NDArray[np.float64], end: int, multiple: int, longer: NDArray[np.float64]) -> None:
    """Make the `longer` bars (6, m), of which the last ends before column `end` of `bars`.

    One is absent where all of its bars are.
    """
    n = longer.shape[1]
    for i in range(n):
        first = end - (n - i) * multiple
        last = first + multiple - 1
        longer[OPEN, i] = bars[OPEN, first]
        longer[CLOSE, i] = bars[CLOSE, last]
        high, low, volume, absent = bars[HIGH, first], bars[LOW, first], 0.0, 1.0
        for j in range(first, last + 1):
            high = max(high, bars[HIGH, j])
            low = min(low, bars[LOW, j])
            # Nothing times what is not finite is NaN: the window is refused for it.
            prices = bars[OPEN, j] + bars[HIGH, j] + bars[LOW, j] + bars[CLOSE, j]
            volume += bars[VOLUME, j] + 0.0 * prices
            absent *= bars[ABSENT, j]
        longer[HIGH, i] = high
        longer[LOW, i] = low
        longer[VOLUME, i] = volume
        longer[ABSENT, i] = absent


@compiled
def longer_row(
    bars: NDArray[np.float64],
    newest: int,
    open_time_ms: int,
    timeframe_ms: int,
    multiple: int,
    out: NDArray[np.float32],
) -> int:
    """Write the base features of the longer bars and return their refusal.

    As `row_of_newest`, of whose columns the last `512 * multiple` are read; `out` is float32 (73,).
    """
    if bars.shape[0] != N_ROWS or out.size != _N_BASE:
        raise ValueError("bars must be (6, n) and out (73,)")
    if newest + 1 < LOOKBACK_BARS * multiple:
        out[:] = np.nan
        return WARMING_UP
    longer = np.empty((N_ROWS, LOOKBACK_BARS))
    _merge(bars, newest + 1, multiple, longer)
    row = np.empty(_N_WRITTEN, np.float32)
    first_ms = open_time_ms - (multiple - 1) * timeframe_ms
    refusal = row_of_newest(longer, longer.shape[1] - 1, first_ms, multiple * timeframe_ms, row)
    out[:] = row[:_N_BASE]
    return refusal


def longer_rows_of_history(
    candles: Candles, multiple: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The rows (n, 73) of the longer bars that end with each bar of `candles`, and their refusals (n,).

    Each row has the bits that `longer_row` writes for that bar.
    """
    length_ms = candles.timeframe.length_ms
    rows = np.full((candles.n_bars, _N_BASE), np.nan, dtype=np.float32)
    refusals = np.full(candles.n_bars, WARMING_UP, dtype=np.uint8)
    for phase in range(min(multiple, candles.n_bars - multiple + 1)):
        n_longer = (candles.n_bars - phase) // multiple
        longer = np.empty((N_ROWS, n_longer))
        _merge(candles.bars, phase + n_longer * multiple, multiple, longer)
        written = np.empty((n_longer, _N_WRITTEN), dtype=np.float32)
        refused = np.empty(n_longer, dtype=np.uint8)
        first_ms = candles.first_open_ms + phase * length_ms
        write_rows(longer, first_ms, multiple * length_ms, written, refused)
        last = slice(phase + multiple - 1, None, multiple)
        rows[last], refusals[last] = written[:, :_N_BASE], refused
    return rows, refusals
