"""Which stored rows can be used, which can not, and why?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candle_store import DAMAGE, RawBars, damage_of

REASONS = (*DAMAGE, "not_closed", "repeated", "unordered", "dead")
MEANING = {
    "timestamp_unit": "the time is not in milliseconds UTC",
    "off_grid": "the time is not on the grid of the timeframe",
    "not_finite": "a price or the volume is missing or infinite",
    "not_positive": "a price is 0 or below, or the volume is negative",
    "ohlc_inconsistent": "high below or low above open or close",
    "not_closed": "the bar had not closed",
    "repeated": "a bar with this time stands further up; the file can not be read",
    "unordered": "a bar with a later time stands further up; the file can not be read",
    "dead": "24 bars or more without volume or at one price",
}
_NOT_CLOSED, _REPEATED, _UNORDERED, _DEAD = range(len(DAMAGE), len(REASONS))
_OFF_GRID = DAMAGE.index("off_grid")

MAX_UNUSABLE_SHARE = 0.05
DEAD_BARS = 24  # as long as the stretch for which plugin.features refuses a window
SPIKE_SIGMAS = 20.0
_SIGMA_OF_MAD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Gap:
    """Bars that the file does not have: the first missing one and how many."""

    first_ms: int
    n_bars: int


@dataclass(frozen=True)
class Unusable:
    """Neighbouring rows that are unusable for one reason; times as they stand in the file."""

    reason: str
    first_ms: int
    last_ms: int
    n_bars: int


@dataclass(frozen=True)
class Verification:
    """What was found in the rows of one symbol. Gaps and spikes make no row unusable."""

    n_rows: int
    first_ms: int | None
    last_ms: int | None
    gaps: tuple[Gap, ...]
    unusable: tuple[Unusable, ...]
    spikes_ms: tuple[int, ...]
    ends_dead: bool

    @property
    def n_missing(self) -> int:
        return sum(gap.n_bars for gap in self.gaps)

    @property
    def n_unusable(self) -> int:
        return sum(stretch.n_bars for stretch in self.unusable)

    @property
    def usable_share(self) -> float:
        return 1.0 - self.n_unusable / self.n_rows if self.n_rows else 0.0

    @property
    def reasons(self) -> dict[str, int]:
        """The number of unusable rows for each reason that occurs."""
        counts: Counter[str] = Counter()
        for stretch in self.unusable:
            counts[stretch.reason] += stretch.n_bars
        return dict(counts)

    def failures(self, max_unusable_share: float = MAX_UNUSABLE_SHARE) -> tuple[str, ...]:
        """Why the file as a whole must not be used; empty if it may."""
        found = {
            "empty": not self.n_rows,
            "unordered": bool(self.reasons.keys() & {"repeated", "unordered"}),
            "dead_at_end": self.ends_dead,
            "too_much_unusable": self.n_unusable > max_unusable_share * self.n_rows,
        }
        return tuple(name for name, holds in found.items() if holds)


def verify(bars: RawBars, timeframe: Timeframe, now_ms: int) -> Verification:
    """Judge every row of a file; a row with several faults has the first of them in REASONS."""
    code = damage_of(bars, timeframe).astype(np.int64)
    code[(code == 0) & (bars.open_time_ms + timeframe.length_ms > now_ms)] = _NOT_CLOSED
    _mark_order(code, bars)
    _mark_dead(code, bars)
    closed = code[code != _NOT_CLOSED]
    time_ms = bars.open_time_ms
    return Verification(
        n_rows=bars.n_bars,
        first_ms=int(time_ms[0]) if time_ms.size else None,
        last_ms=int(time_ms[-1]) if time_ms.size else None,
        gaps=_gaps(time_ms[(code == 0) | (code > _OFF_GRID)], timeframe),
        unusable=tuple(_stretches(code, time_ms)),
        spikes_ms=_spikes(bars[code == 0], timeframe),
        ends_dead=bool(closed.size and closed[-1] == _DEAD),
    )


def _mark_order(code: NDArray[np.int64], bars: RawBars) -> None:
    rows = np.flatnonzero(code == 0)
    time_ms = bars.open_time_ms[rows]
    late = time_ms < np.maximum.accumulate(time_ms)
    repeated = np.ones(rows.size, dtype=np.bool_)
    repeated[np.unique(time_ms, return_index=True)[1]] = False
    code[rows[late]] = _UNORDERED
    code[rows[repeated]] = _REPEATED


def _mark_dead(code: NDArray[np.int64], bars: RawBars) -> None:
    rows = np.flatnonzero(code == 0)
    close, volume = bars.ohlcv[3, rows], bars.ohlcv[4, rows]
    dead = _in_long_run(close, np.ones(rows.size, dtype=np.bool_)) | _in_long_run(volume, volume == 0)
    code[rows[dead]] = _DEAD


def _in_long_run(values: NDArray[np.float64], counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values stand in a run of at least DEAD_BARS equal ones, where `counts` holds."""
    _, length = _runs(values)
    return np.repeat(length >= DEAD_BARS, length) & counts


def _runs(values: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of equal neighbours begins, and how long it is."""
    if not values.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    return first, np.diff(np.append(first, values.size))


def _stretches(code: NDArray[np.int64], time_ms: NDArray[np.int64]) -> Iterable[Unusable]:
    for start, length in zip(*_runs(code), strict=True):
        if code[start]:
            last = start + length - 1
            yield Unusable(REASONS[code[start]], int(time_ms[start]), int(time_ms[last]), int(length))


def _gaps(time_ms: NDArray[np.int64], timeframe: Timeframe) -> tuple[Gap, ...]:
    present = np.unique(time_ms)
    steps = np.diff(present) // timeframe.length_ms
    return tuple(
        Gap(int(present[i]) + timeframe.length_ms, int(steps[i]) - 1) for i in np.flatnonzero(steps > 1)
    )


def _spikes(bars: RawBars, timeframe: Timeframe) -> tuple[int, ...]:
    """Open times of bars whose close jumps away by many sigmas and whose successor undoes most of it.

    Sigma is the scaled median absolute deviation of the log returns, which a spike itself hardly moves.
    """
    if bars.n_bars < 3 or (np.diff(bars.open_time_ms) <= 0).any():
        return ()
    returns = np.diff(np.log(bars.ohlcv[3]))
    returns[np.diff(bars.open_time_ms) != timeframe.length_ms] = 0.0
    sigma = _SIGMA_OF_MAD * float(np.median(np.abs(returns - np.median(returns))))
    there, back = returns[:-1], returns[1:]
    spike = (np.abs(there) > SPIKE_SIGMAS * sigma) & (np.abs(there + back) < np.abs(there) / 2)
    return tuple(int(time_ms) for time_ms in bars.open_time_ms[1:-1][spike]) if sigma > 0 else ()
