"""What is worked out once per bar and shared by the kernels?

A column belongs to one bar and depends on that bar and the one before it only. Over a history each is
computed once, over a live window for 512 bars; the values are the same. The first bar of a window has
no bar before it in the window, so kernels must not read there what needs one (marked "from 1").
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.candles import CLOSE as BAR_CLOSE
from plugin.candles import HIGH as BAR_HIGH
from plugin.candles import LOW as BAR_LOW
from plugin.candles import OPEN as BAR_OPEN
from plugin.candles import VOLUME as BAR_VOLUME
from plugin.features.compiled import compiled

(
    OPEN,
    HIGH,
    LOW,
    CLOSE,
    VOLUME,
    TYPICAL,  # (high + low + close) / 3
    LOG_CLOSE,
    LOG_RETURN,  # from 1
    TRUE_RANGE,  # from 1
    GAIN,  # from 1: rise of the close, else 0
    LOSS,  # from 1: fall of the close, else 0
) = range(11)
N_COLUMNS = 11


@compiled
def fill_columns(bars: NDArray[np.float64], newest: int, columns: NDArray[np.float64]) -> None:
    """Work out `columns` (N_COLUMNS, m) for the m bars up to column `newest` of `bars` (6, n)."""
    n = columns.shape[1]
    first, end = newest - n + 1, newest + 1
    columns[OPEN] = bars[BAR_OPEN, first:end]
    columns[HIGH] = bars[BAR_HIGH, first:end]
    columns[LOW] = bars[BAR_LOW, first:end]
    columns[CLOSE] = bars[BAR_CLOSE, first:end]
    columns[VOLUME] = bars[BAR_VOLUME, first:end]
    high, low, close = columns[HIGH], columns[LOW], columns[CLOSE]
    log_close = columns[LOG_CLOSE]
    for i in range(n):
        columns[TYPICAL, i] = (high[i] + low[i] + close[i]) / 3.0
        log_close[i] = math.log(close[i])
    columns[LOG_RETURN:, 0] = 0.0
    for i in range(1, n):
        change = close[i] - close[i - 1]
        columns[LOG_RETURN, i] = log_close[i] - log_close[i - 1]
        columns[TRUE_RANGE, i] = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        columns[GAIN, i] = max(change, 0.0)
        columns[LOSS, i] = max(-change, 0.0)
