"""What happened after a recorded bar?

The closes come from the records themselves, as they were seen, and from a store where no record stands.
An outcome that is not there yet waits; one whose close nobody has stays unknown. Nothing is made up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadow.errors import LogUnusable

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Outcomes:
    """What followed the n bars of one series over one horizon; every array is (n,).

    `forward_return` is NaN and `up` False where the outcome is not known. `waiting`: the horizon has
    not passed; `missing`: it has, and the close at its end is not known.
    """

    forward_return: NDArray[np.float64]
    up: NDArray[np.bool_]
    waiting: NDArray[np.bool_]
    missing: NDArray[np.bool_]


def bar_length_ms(timeframe: str) -> int:
    """Milliseconds of a bar of `timeframe`. Raises LogUnusable where a record holds no such thing."""
    match = re.fullmatch(r"([1-9]\d{0,2})([mhd])", timeframe)
    if match is None:
        raise LogUnusable(
            "a timeframe such as 1h", repr(timeframe), "see which program wrote the record"
        )
    return int(match[1]) * _UNIT_MS[match[2]]


class Closes(NamedTuple):
    """Closes of one series: `open_time_ms` (n,) of their bars, strictly rising, and `close` (n,)."""

    open_time_ms: NDArray[np.int64]
    close: NDArray[np.float64]

    def at(self, open_time_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """The close of each bar that opened at `open_time_ms` (m,), NaN where none is known."""
        if self.open_time_ms.size == 0:
            return np.full(open_time_ms.size, np.nan)
        at, is_known = find_times(self.open_time_ms, open_time_ms)
        return np.where(is_known, self.close[at], np.nan)


def find_times(
    times: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of `wanted` (m,) stands in `times` (n,), strictly rising, and whether it does."""
    if not times.size or not wanted.size:
        return np.zeros(wanted.size, dtype=np.int64), np.zeros(wanted.size, dtype=np.bool_)
    # Where no bar is missing, the place of one tells those of all: a search takes three times as long.
    middle = wanted.size // 2
    first = int(np.searchsorted(times, wanted[middle])) - middle
    at = np.arange(first, first + wanted.size).clip(0, times.size - 1)
    astray = np.flatnonzero(times[at] != wanted)
    at[astray] = np.searchsorted(times, wanted[astray]).clip(max=times.size - 1)
    return at, times[at] == wanted


def outcomes(bars: Closes, known: Closes, length_ms: int, horizon_bars: int, now_ms: int) -> Outcomes:
    """What followed each of `bars` `horizon_bars` later, looked up in `known`, as far as it is known at
    `now_ms`.

    "Up" is a close above that of the bar itself; an equal one is not.
    """
    later = known.at(bars.open_time_ms + horizon_bars * length_ms)
    waiting = bars.open_time_ms + (horizon_bars + 1) * length_ms > now_ms
    later[waiting] = np.nan
    return Outcomes(later / bars.close - 1.0, later > bars.close, waiting, ~waiting & np.isnan(later))
