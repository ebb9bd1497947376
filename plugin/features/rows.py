"""What is the feature row of one window, and of every window of a history?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.candles import ABSENT, N_ROWS, Candles
from plugin.features import columns as column
from plugin.features.bar_shape import write_bar_shape
from plugin.features.calendar_time import write_calendar
from plugin.features.columns import N_COLUMNS, fill_columns
from plugin.features.compiled import compiled
from plugin.features.feature_set import BASE_FAMILIES, SEQUENCE
from plugin.features.next_timeframe import bars_after_complete, write_next_timeframe
from plugin.features.oscillators import write_oscillators
from plugin.features.primitives import Series, deviation, dot
from plugin.features.returns import write_returns
from plugin.features.serial import write_serial
from plugin.features.trend import write_trend
from plugin.features.volatility import write_volatility
from plugin.features.volume import write_volume
from plugin.features.weights import wilder_weights
from plugin.features.window import LOOKBACK_BARS, NOT_FINITE, OK, window_refusal

_N_FEATURES = len(SEQUENCE.names)
_ENDS = np.cumsum([len(names) for names in BASE_FAMILIES.values()])
_RETURNS, _SHAPE, _TREND, _OSCILLATORS, _VOLATILITY, _VOLUME, _SERIAL, _CALENDAR = map(int, _ENDS)
_WILDER_14 = wilder_weights(LOOKBACK_BARS - 1, 14)


@compiled
def _write_row(
    columns: NDArray[np.float64],
    newest: int,
    absent: Series,
    open_time_ms: int,
    timeframe_ms: int,
    out: NDArray[np.float32],
) -> None:
    first, end = newest - LOOKBACK_BARS + 1, newest + 1
    open_ = columns[column.OPEN, first:end]
    high = columns[column.HIGH, first:end]
    low = columns[column.LOW, first:end]
    close = columns[column.CLOSE, first:end]
    volume = columns[column.VOLUME, first:end]
    typical = columns[column.TYPICAL, first:end]
    log_close = columns[column.LOG_CLOSE, first:end]
    log_return = columns[column.LOG_RETURN, first:end]
    true_range = columns[column.TRUE_RANGE, first:end]
    gain = columns[column.GAIN, first:end]
    loss = columns[column.LOSS, first:end]
    unit = deviation(log_return[-72:])
    atr = dot(_WILDER_14, true_range[1:])

    write_returns(log_close, unit, out[:_RETURNS])
    write_bar_shape(open_, high, low, close, out[_RETURNS:_SHAPE])
    write_trend(high, low, close, volume, typical, log_close, unit, atr, out[_SHAPE:_TREND])
    write_oscillators(high, low, close, volume, typical, gain, loss, out[_TREND:_OSCILLATORS])
    write_volatility(
        open_, high, low, close, log_return, true_range, unit, atr, out[_OSCILLATORS:_VOLATILITY]
    )
    write_volume(high, low, close, volume, typical, log_return, out[_VOLATILITY:_VOLUME])
    write_serial(log_return, log_close, out[_VOLUME:_SERIAL])
    write_calendar(open_time_ms, absent, out[_SERIAL:_CALENDAR])
    n_after = bars_after_complete(open_time_ms, timeframe_ms)
    write_next_timeframe(high, low, close, log_close, n_after, out[_CALENDAR:])


@compiled
def finish_row(refusal: int, out: NDArray[np.float32]) -> int:
    """The refusal of a row: `refusal`, or NOT_FINITE where a value is not; a refused row is NaN."""
    if refusal == OK:
        for i in range(out.size):
            if not np.isfinite(out[i]):
                refusal = NOT_FINITE
    if refusal != OK:
        out[:] = np.nan
    return refusal


@compiled
def row_of_newest(
    bars: NDArray[np.float64],
    newest: int,
    open_time_ms: int,
    timeframe_ms: int,
    out: NDArray[np.float32],
) -> int:
    """Write the row of the window that ends with column `newest` of `bars` and return its refusal.

    `bars` is float64 (6, n), C-contiguous, laid out as in `Candles`; only the 512 columns up to
    `newest` are read. `open_time_ms` is the open time of that column. `out` is float32 (80,), in the
    order of `SEQUENCE.names`, of which the first 73 are `BASE.names`. The answer is a position in
    `REFUSALS`; where it is not 0, `out` is all NaN. Raises ValueError on another shape.
    """
    if bars.shape[0] != N_ROWS or out.size != _N_FEATURES:
        raise ValueError("bars must be (6, n) and out (80,)")
    refusal = window_refusal(bars, newest)
    if refusal == OK:
        first = newest - LOOKBACK_BARS + 1
        columns = np.empty((N_COLUMNS, LOOKBACK_BARS))
        fill_columns(bars, newest, columns)
        absent = bars[ABSENT, first : newest + 1]
        # Not the literal LOOKBACK_BARS - 1: numba would compile a second kernel for that constant.
        _write_row(columns, columns.shape[1] - 1, absent, open_time_ms, timeframe_ms, out)
    return finish_row(refusal, out)


@compiled
def write_rows(
    bars: NDArray[np.float64],
    first_open_ms: int,
    timeframe_ms: int,
    rows: NDArray[np.float32],
    refusals: NDArray[np.uint8],
) -> None:
    """As `rows_of_history`, into `rows` (n, 80) and `refusals` (n,)."""
    columns = np.empty((N_COLUMNS, bars.shape[1]))
    fill_columns(bars, bars.shape[1] - 1, columns)
    for newest in range(bars.shape[1]):
        refusal = window_refusal(bars, newest)
        if refusal == OK:
            absent = bars[ABSENT, newest - LOOKBACK_BARS + 1 : newest + 1]
            open_time_ms = first_open_ms + newest * timeframe_ms
            _write_row(columns, newest, absent, open_time_ms, timeframe_ms, rows[newest])
        refusals[newest] = finish_row(refusal, rows[newest])


def rows_of_history(candles: Candles) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The rows (n, 80) of all bars of `candles` and their refusals (n,); refused rows are NaN.

    Row i depends on the bars i - 511 to i and on nothing else, and has the same bits as the row that
    `row_of_newest` writes for that window.
    """
    rows = np.empty((candles.n_bars, _N_FEATURES), dtype=np.float32)
    refusals = np.empty(candles.n_bars, dtype=np.uint8)
    write_rows(candles.bars, candles.first_open_ms, candles.timeframe.length_ms, rows, refusals)
    return rows, refusals
