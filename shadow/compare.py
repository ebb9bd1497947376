"""What has become of two bundles that were asked about the same bars?

One was the champion and the other the challenger; outcomes come from the closes of the records.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.files import day_files, day_of
from shadow.outcomes import Closes, bar_length_ms, outcomes
from shadow.reader import BarKey, LogReader
from shadow.sequential import UNCLIPPED, PairEvidence, clipped, pair_evidence

_Floats = NDArray[np.float64]

HOLE_DAYS = 3
"""So many days without a record of the pair do not end it."""


class PairLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What decides a pair: how much worse than the champion's a challenger's Brier score may be, and
    the e-value at which that is known. 20 is wrong in at most one of 20 cases, however often one looks.
    """

    pair_brier_margin: float = 0.005
    pair_evidence: float = 20.0


PAIR_LIMITS = PairLimits()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two bundles on the `n_bars` bars, `n_rows` counted by symbol, whose outcome is known for both.

    On `n_only_champion` rows the champion had a probability and the challenger none. Brier scores are
    means over the rows, NaN where there are none; those that are `clipped` belong to `evidence`.
    `evidence` judges the challenger against the champion. `watch` judges the champion against the
    challenger, on Brier scores that are not clipped, as a collapse shows in them first: for the time
    after a promotion, when the challenger is the champion before.
    `n_damaged` is the number of faults in the stretch of the log that was read; `level` is the e-value
    that decides.
    """

    challenger: str
    champion: str
    horizon_bars: int
    n_bars: int
    n_rows: int
    n_only_champion: int
    first_open_ms: int | None
    last_open_ms: int | None
    challenger_brier: float
    champion_brier: float
    challenger_clipped_brier: float
    champion_clipped_brier: float
    evidence: PairEvidence
    watch: PairEvidence
    n_damaged: int
    level: float


class _Challenger(msgspec.Struct, gc=False):
    bundle: str
    probabilities: dict[str, float | None]


class _PairLine(BarKey, tag_field="type", tag="bar", gc=False):
    close: float
    champion: str | None
    probabilities: dict[str, float | None]
    challenger: _Challenger | None


class _Pair(NamedTuple):
    challenger: str
    champion: str

    def holds(self, line: _PairLine) -> bool:
        """Whether the two were asked about this bar in these roles."""
        told = line.challenger
        return line.champion == self.champion and told is not None and told.bundle == self.challenger


class _Rows(NamedTuple):
    """Rows with both probabilities and a known outcome; every array is (n,)."""

    open_time_ms: NDArray[np.int64]
    bar_number: NDArray[np.int64]
    challenger_p: _Floats
    champion_p: _Floats
    up: _Floats


class _Series:
    """The closes of one symbol and timeframe, and what the two said there; NaN where nothing."""

    def __init__(self, timeframe: str) -> None:
        self.length_ms = bar_length_ms(timeframe)
        self.open_time_ms = array("q")
        self.close = array("d")
        self.challenger_p = array("d")
        self.champion_p = array("d")

    def add(self, line: _PairLine, pair: _Pair, horizon: str) -> None:
        self.open_time_ms.append(line.open_time_ms)
        self.close.append(line.close)
        both = line.challenger if pair.holds(line) else None
        self.challenger_p.append(_probability(both.probabilities, horizon) if both else math.nan)
        self.champion_p.append(_probability(line.probabilities, horizon) if both else math.nan)

    def rows(self, horizon_bars: int, until_ms: int, step_ms: int) -> _Rows:
        opened = np.array(self.open_time_ms)
        closes = Closes(opened, np.array(self.close))
        outcome = outcomes(closes, closes, self.length_ms, horizon_bars, until_ms)
        challenger_p, champion_p = np.array(self.challenger_p), np.array(self.champion_p)
        known = np.isfinite(outcome.forward_return + challenger_p + champion_p)
        up = outcome.up.astype(np.float64)
        columns = (opened, opened // step_ms, challenger_p, champion_p, up)
        return _Rows(*(column[known] for column in columns))


def compare(
    folder: Path,
    *,
    challenger: str,
    champion: str,
    horizon_bars: int,
    margin: float,
    level: float,
    until_ms: int,
) -> Comparison:
    """Compare two bundles on the bars on which they had these roles, as was known at `until_ms`.

    The log is read back from its newest day to the first day of the pair; a hole of more than
    `HOLE_DAYS` days ends it. `margin` and `level` are those of `pair_evidence`. Raises OSError where a
    file can not be read, LogUnusable where a record holds no timeframe.
    """
    pair = _Pair(challenger, champion)
    since_day = _first_day(folder, pair, until_ms)
    reader = LogReader(folder, _PairLine, since_day=since_day)
    all_series = _read(reader, pair, str(horizon_bars), until_ms)
    step_ms = min((series.length_ms for series in all_series), default=1)
    longest_ms = max((series.length_ms for series in all_series), default=1)
    rows = _pooled([series.rows(horizon_bars, until_ms, step_ms) for series in all_series])
    bars, differences = _by_bar(rows, clipped(rows.challenger_p), clipped(rows.champion_p))
    _, unclipped = _by_bar(rows, rows.champion_p, rows.challenger_p)
    # With several timeframes, the longest label in steps of the shortest bar bounds every overlap.
    overlap_bars = horizon_bars * longest_ms // step_ms
    return Comparison(
        challenger=challenger,
        champion=champion,
        horizon_bars=horizon_bars,
        n_bars=bars.size,
        n_rows=rows.up.size,
        n_only_champion=sum(map(_n_only_champion, all_series)),
        first_open_ms=int(rows.open_time_ms.min()) if rows.up.size else None,
        last_open_ms=int(rows.open_time_ms.max()) if rows.up.size else None,
        challenger_brier=_brier(rows.challenger_p, rows.up),
        champion_brier=_brier(rows.champion_p, rows.up),
        challenger_clipped_brier=_brier(clipped(rows.challenger_p), rows.up),
        champion_clipped_brier=_brier(clipped(rows.champion_p), rows.up),
        evidence=pair_evidence(differences, bars, overlap_bars, margin, level),
        watch=pair_evidence(unclipped, bars, overlap_bars, margin, level, UNCLIPPED),
        n_damaged=reader.damage.n_total,
        level=level,
    )


def _first_day(folder: Path, pair: _Pair, until_ms: int) -> str:
    """The first day of the pair, or the newest with a bar that had closed where it has none."""
    oldest: str | None = None
    for path in reversed(day_files(folder)):
        if oldest is not None and day_of(path) < _days_before(oldest, HOLE_DAYS + 1):
            break
        in_time, is_of_pair = False, False
        for line in LogReader(folder, _PairLine, day_of(path), day_of(path)):
            if _has_closed(line, until_ms):
                in_time = True
                is_of_pair = pair.holds(line)
                if is_of_pair:
                    break
        if is_of_pair or (in_time and oldest is None):
            oldest = day_of(path)
    return oldest or "9999-99-99"


def _days_before(day: str, n_days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=n_days)).isoformat()


def _has_closed(line: _PairLine, until_ms: int) -> bool:
    return line.open_time_ms + bar_length_ms(line.timeframe) <= until_ms


def _read(lines: Iterable[_PairLine], pair: _Pair, horizon: str, until_ms: int) -> list[_Series]:
    by_name: dict[tuple[str, str], _Series] = {}
    for line in lines:
        name = line.symbol, line.timeframe
        series = by_name.get(name) or by_name.setdefault(name, _Series(line.timeframe))
        if line.open_time_ms + series.length_ms <= until_ms:
            series.add(line, pair, horizon)
    return list(by_name.values())


def _probability(said: dict[str, float | None], horizon: str) -> float:
    p = said.get(horizon)
    return p if p is not None and 0.0 <= p <= 1.0 else math.nan


def _n_only_champion(series: _Series) -> int:
    alone = np.isfinite(series.champion_p) & ~np.isfinite(series.challenger_p)
    return int(np.count_nonzero(alone))


def _pooled(parts: list[_Rows]) -> _Rows:
    if not parts:
        nothing, no_times = np.empty(0), np.empty(0, dtype=np.int64)
        return _Rows(no_times, no_times, nothing, nothing, nothing)
    return _Rows(*map(np.concatenate, zip(*parts, strict=True)))


def _by_bar(rows: _Rows, judged: _Floats, other: _Floats) -> tuple[NDArray[np.int64], _Floats]:
    """The bars, and for each the mean over its symbols of what one scores above the other."""
    difference = (judged - rows.up) ** 2 - (other - rows.up) ** 2
    bars, place = np.unique(rows.bar_number, return_inverse=True)
    return bars, np.bincount(place, difference, bars.size) / np.bincount(place, minlength=bars.size)


def _brier(p: _Floats, up: _Floats) -> float:
    return float(np.mean((p - up) ** 2)) if up.size else math.nan
