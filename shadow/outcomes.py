"""What happened after a recorded bar?

The closes come from the records themselves, as they were seen. An outcome that is not there yet waits;
one whose bar was never recorded stays unknown. Nothing is filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow.errors import LogUnusable

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Outcomes:
    """What followed the n bars of one series over one horizon; every array is (n,).

    `forward_return` is NaN and `up` False where the outcome is not known. `waiting`: the horizon has
    not passed; `missing`: it has, and the bar at its end was not recorded.
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


def close_at(
    open_time_ms: NDArray[np.int64], close: NDArray[np.float64], shift_ms: int
) -> NDArray[np.float64]:
    """For each of n bars the close of the one that opened `shift_ms` later, NaN where there is none.

    `open_time_ms` (n,) strictly rising; `close` (n,); a negative shift looks back.
    """
    if open_time_ms.size == 0:
        return np.empty(0)
    wanted = open_time_ms + shift_ms
    at = np.minimum(np.searchsorted(open_time_ms, wanted), open_time_ms.size - 1)
    return np.where(open_time_ms[at] == wanted, close[at], np.nan)


def outcomes(
    open_time_ms: NDArray[np.int64],
    close: NDArray[np.float64],
    length_ms: int,
    horizon_bars: int,
    now_ms: int,
) -> Outcomes:
    """The outcomes of one series `horizon_bars` later, as far as they are known at `now_ms`.

    Arguments as in `close_at`. "Up" is a close above that of the bar itself; an equal one is not.
    """
    later = close_at(open_time_ms, close, horizon_bars * length_ms)
    waiting = open_time_ms + (horizon_bars + 1) * length_ms > now_ms
    later[waiting] = np.nan
    return Outcomes(later / close - 1.0, later > close, waiting, ~waiting & np.isnan(later))
