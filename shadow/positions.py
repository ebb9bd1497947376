"""Which position do decisions hold at each bar, what does it earn, and when is it stopped?

A decision is taken at the close of its bar and counts until the next record. Everything here is one
series, oldest first, n recorded bars and the n - 1 steps between them: step i runs from the close of
bar i to that of bar i + 1, over a hole where bars are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadow.statistics.overlap import Floats, Integers

ATR_BARS = 14


@dataclass(frozen=True)
class TradedBars:
    """The recorded bars of one series, oldest first; every array is (n,).

    `side` and `host_side` are +1 long, 0 out of the market and -1 short, as the ensemble decided and
    as the host told, where `has_host_signal`. `regime` indexes `regimes`, the sorted names of those in
    any series. `high` and `low` are NaN where they were not recorded. Bars that are not `in_window`
    lend their prices only.
    """

    symbol: str
    timeframe: str
    length_ms: int
    open_time_ms: NDArray[np.int64]
    high: Floats
    low: Floats
    close: Floats
    side: NDArray[np.int8]
    size_multiplier: Floats
    stop_atr: Floats
    regime: Integers
    regimes: tuple[str, ...]
    host_side: NDArray[np.int8]
    has_host_signal: NDArray[np.bool_]
    in_window: NDArray[np.bool_]


class Path(NamedTuple):
    """What a position did on n - 1 steps, each array (n - 1,); `n_stops` times it was stopped.

    `gross` is earned before costs; `turnover` is the change of position paid for on the step, its end
    included on the last one.
    """

    position: Floats
    gross: Floats
    turnover: Floats
    n_stops: int


class Stops(NamedTuple):
    """Prices (n,) that a stop is judged by, its distance (n,) in average true ranges, these (n,)."""

    high: Floats
    low: Floats
    stop_atr: Floats
    atr: Floats


def average_true_range(bars: TradedBars) -> Floats:
    """The mean true range of the last ATR_BARS bars (n,), of which none may be missing; else NaN.

    Wilder, New Concepts in Technical Trading Systems, 1978, in its plain form: a pure function of the
    newest bars, whatever came before them.
    """
    before = np.concatenate([[np.nan], bars.close[:-1]])
    spread = np.maximum(bars.high, before) - np.minimum(bars.low, before)
    spread[1:][np.diff(bars.open_time_ms) != bars.length_ms] = np.nan
    if spread.size < ATR_BARS:
        return np.full(spread.size, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(spread, ATR_BARS)
    return np.concatenate([np.full(ATR_BARS - 1, np.nan), windows.mean(axis=1)])


def follow(side: NDArray[np.int8], size: Floats, close: Floats, stops: Stops | None) -> Path:
    """Hold `side` times `size`, decided at each of n bars, to the next one; the last decision has none.

    A stop lies `stop_atr` true ranges from the close at which a side was taken. A later bar that
    touches it ends the position at the stop, or at the bar's close where the whole bar lies beyond:
    the open is not recorded. The position then stays closed until another side, or none, is decided.
    """
    position = side[:-1] * size[:-1]
    reached = close[1:].copy()
    n_stops = 0
    if stops is not None:
        n_stops = _stop(side, position, reached, close, stops)
    gross = position * (reached / close[:-1] - 1.0)
    # What was stopped within a step is paid for on the step, as what is changed at its begin.
    turnover = np.abs(np.diff(position, prepend=0.0))
    if position.size:
        turnover[-1] += abs(position[-1])
    return Path(position, gross, turnover, n_stops)


def _stop(
    side: NDArray[np.int8], position: Floats, reached: Floats, close: Floats, stops: Stops
) -> int:
    """Close `position` (n - 1,) after each stop, put its price into `reached`; how many there were."""
    held = side[:-1]
    begins = np.diff(held, prepend=np.int8(0)) != 0
    run = np.cumsum(begins) - 1  # -1 before the first side
    entry = np.flatnonzero(begins)
    if not entry.size:
        return 0
    distance = stops.stop_atr[entry] * stops.atr[entry]
    level = np.where(distance > 0.0, close[entry] - held[entry] * distance, np.nan)[run]
    is_long = held > 0
    touched = np.where(is_long, stops.low[1:] <= level, stops.high[1:] >= level) & (held != 0)
    beyond = np.where(is_long, stops.high[1:] < level, stops.low[1:] > level)
    hits = np.flatnonzero(touched & (run >= 0))
    stopped_runs, first = np.unique(run[hits], return_index=True)
    at = hits[first]
    reached[at] = np.where(beyond[at], reached[at], level[at])
    until = np.full(entry.size, held.size)
    until[stopped_runs] = at
    position[np.arange(held.size) > until[run]] = 0.0
    return int(at.size)


def step_ends_ms(bars: TradedBars) -> Integers:
    """When each step ends (n - 1,): the close of the bar after it."""
    return bars.open_time_ms[1:] + bars.length_ms
