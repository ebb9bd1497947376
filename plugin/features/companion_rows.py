"""What does another asset add to a feature row, live and over a history?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.candles import CLOSE, N_ROWS, Candles
from plugin.errors import WrongUse
from plugin.features.companion import N_CLOSES, NAMES, write_companion
from plugin.features.compiled import compiled
from plugin.features.primitives import Series
from plugin.features.rows import finish_row
from plugin.features.window import GAP, OK, window_refusal

_N_FEATURES = len(NAMES)


@compiled
def _logs(x: Series) -> Series:
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = math.log(x[i])
    return out


@compiled
def _pair_refusal(
    own_bars: NDArray[np.float64], own_newest: int, other_bars: NDArray[np.float64], other_newest: int
) -> int:
    refusal = window_refusal(own_bars, own_newest)
    return window_refusal(other_bars, other_newest) if refusal == OK else refusal


@compiled
def companion_row(
    own_bars: NDArray[np.float64],
    own_newest: int,
    other_bars: NDArray[np.float64],
    other_newest: int,
    out: NDArray[np.float32],
) -> int:
    """Write the seven features of a companion and return the refusal: that of the own window, else that
    of the other.

    Both `bars` are float64 (6, n) as in `Candles`; the caller sees to it that the columns `own_newest`
    and `other_newest` opened at the same time. `out` is float32 (7,); NaN where the pair is refused.
    Raises ValueError on another shape.
    """
    if own_bars.shape[0] != N_ROWS or other_bars.shape[0] != N_ROWS or out.size != _N_FEATURES:
        raise ValueError("both bars must be (6, n) and out (7,)")
    refusal = _pair_refusal(own_bars, own_newest, other_bars, other_newest)
    if refusal == OK:
        own_close = own_bars[CLOSE, own_newest + 1 - N_CLOSES : own_newest + 1]
        other_close = other_bars[CLOSE, other_newest + 1 - N_CLOSES : other_newest + 1]
        write_companion(_logs(own_close), _logs(other_close), out)
    return finish_row(refusal, out)


@compiled
def _write_companion_rows(
    own_bars: NDArray[np.float64],
    other_bars: NDArray[np.float64],
    shift: int,
    rows: NDArray[np.float32],
    refusals: NDArray[np.uint8],
) -> None:
    own_logs, other_logs = _logs(own_bars[CLOSE]), _logs(other_bars[CLOSE])
    for newest in range(own_bars.shape[1]):
        end, other_end = newest + 1, newest + shift + 1
        if other_end > other_bars.shape[1]:
            refusal = GAP
        else:
            refusal = _pair_refusal(own_bars, newest, other_bars, newest + shift)
        if refusal == OK:
            own, other = own_logs[end - N_CLOSES : end], other_logs[other_end - N_CLOSES : other_end]
            write_companion(own, other, rows[newest])
        refusals[newest] = finish_row(refusal, rows[newest])


def companion_rows_of_history(
    own: Candles, other: Candles
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The rows (n, 7) of `other` beside every bar of `own`, and their refusals (n,).

    Aligned by open time. Before the other has 512 bars the refusal is `warming_up`, after its last bar
    `gap`. Raises WrongUse where the two have different timeframes.
    """
    if own.timeframe != other.timeframe:
        raise WrongUse(
            f"a companion of {own.symbol} on {own.timeframe.name}",
            f"{other.symbol} on {other.timeframe.name}",
            "use candles of one timeframe",
        )
    shift = (own.first_open_ms - other.first_open_ms) // own.timeframe.length_ms
    rows = np.empty((own.n_bars, _N_FEATURES), dtype=np.float32)
    refusals = np.empty(own.n_bars, dtype=np.uint8)
    _write_companion_rows(own.bars, other.bars, shift, rows, refusals)
    return rows, refusals
