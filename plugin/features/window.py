"""Which windows get a row, and why are the others refused?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, LOW, VOLUME
from plugin.features.compiled import compiled
from plugin.features.primitives import Series, total

LOOKBACK_BARS = 512
# A refusal is the position of its name.
REFUSALS = ("ok", "warming_up", "gap", "dead_market", "not_finite")
OK, WARMING_UP, GAP, DEAD_MARKET, NOT_FINITE = range(5)

_NEWEST_BARS = 24
_MAX_ABSENT_BARS = 16


_LARGEST = np.finfo(np.float64).max


@compiled
def _is_sound(bars: NDArray[np.float64], first: int, end: int) -> bool:
    n_unsound = 0
    for row in range(VOLUME + 1):
        values = bars[row, first:end]
        for i in range(values.size):
            n_unsound += not abs(values[i]) <= _LARGEST
    low = bars[LOW, first:end]
    for i in range(low.size):
        n_unsound += low[i] <= 0.0
    return n_unsound == 0


@compiled
def _is_dead(close: Series, volume: Series) -> bool:
    traded = moved = False
    for i in range(close.size):
        traded |= volume[i] > 0.0
        moved |= close[i] != close[0]
    return not (traded and moved)


@compiled
def window_refusal(bars: NDArray[np.float64], newest: int) -> int:
    """The refusal of the window that ends with column `newest` of `bars` (6, n), or OK.

    A window is refused that has fewer than 512 bars; with a value that is no finite number or a price
    that is not above 0; with an absent bar among the newest 24 or more than 16 in all; without any
    volume or any change of the close over the newest 24.
    """
    first, end = newest - LOOKBACK_BARS + 1, newest + 1
    if first < 0 or end > bars.shape[1]:
        return WARMING_UP
    if not _is_sound(bars, first, end):
        return NOT_FINITE
    absent = bars[ABSENT, first:end]
    if total(absent[-_NEWEST_BARS:]) > 0.0 or total(absent) > _MAX_ABSENT_BARS:
        return GAP
    recent = end - _NEWEST_BARS
    return DEAD_MARKET if _is_dead(bars[CLOSE, recent:end], bars[VOLUME, recent:end]) else OK
