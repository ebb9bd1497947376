"""What did one bundle say of the bars whose outcome is known by now, and how was that read?

A bar counts wherever the bundle stood: as champion, or beside it. Its recalibrated probabilities are
recorded where it was champion only. Outcomes come from the closes of the records.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.files import utc_text
from shadow.outcomes import Closes, bar_length_ms, outcomes
from shadow.reader import BarKey, LogReader

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]


class _Recalibrated(msgspec.Struct, gc=False):
    p: float | None


class _Challenger(msgspec.Struct, gc=False):
    bundle: str
    probabilities: dict[str, float | None]


class _Line(BarKey, tag_field="type", tag="bar", gc=False, kw_only=True):
    """What is needed of a bar's line."""

    close: float
    champion: str | None
    probabilities: dict[str, float | None]
    recalibrated: dict[str, _Recalibrated] = {}  # noqa: RUF012  (msgspec copies it)
    challenger: _Challenger | None


class Realised(NamedTuple):
    """Rows with a probability and a known outcome; every array is (n,).

    `recalibrated` is NaN where none was recorded, `up` 0 or 1. `bar_number` counts the shortest bars,
    of which labels overlap by `overlap_bars`; symbols share it.
    """

    open_time_ms: _Integers
    bar_number: _Integers
    p: _Floats
    recalibrated: _Floats
    up: _Floats
    overlap_bars: int

    def where(self, chosen: NDArray[np.bool_]) -> Realised:
        """Only the `chosen` rows, (n,)."""
        return Realised(
            self.open_time_ms[chosen],
            self.bar_number[chosen],
            self.p[chosen],
            self.recalibrated[chosen],
            self.up[chosen],
            self.overlap_bars,
        )


class _Series:
    """The closes of one symbol and timeframe, and what was said there by horizon; NaN where nothing."""

    def __init__(self, timeframe: str) -> None:
        self.length_ms = bar_length_ms(timeframe)
        self.open_time_ms = array("q")
        self.close = array("d")
        self.said: dict[str, tuple[array[float], array[float]]] = {}

    def add(self, line: _Line, bundle: str) -> None:
        beside = line.challenger
        probabilities: Mapping[str, float | None] = {}
        recalibrated: Mapping[str, _Recalibrated] = {}
        if line.champion == bundle:
            probabilities, recalibrated = line.probabilities, line.recalibrated
        elif beside is not None and beside.bundle == bundle:
            probabilities = beside.probabilities
        for horizon in probabilities.keys() - self.said.keys():
            nothing = [math.nan] * len(self.close)
            self.said[horizon] = array("d", nothing), array("d", nothing)
        for horizon, (own, read) in self.said.items():
            own.append(_probability(probabilities.get(horizon)))
            told = recalibrated.get(horizon)
            read.append(_probability(told.p if told else None))
        self.open_time_ms.append(line.open_time_ms)
        self.close.append(line.close)

    def rows(
        self, horizon: str, since_ms: int, until_ms: int, step_ms: int
    ) -> list[NDArray[np.generic]]:
        """The columns of Realised."""
        nothing = np.full(len(self.close), math.nan)
        own, read = map(np.array, self.said.get(horizon, (nothing, nothing)))
        opened = np.array(self.open_time_ms)
        closes = Closes(opened, np.array(self.close))
        outcome = outcomes(closes, closes, self.length_ms, int(horizon), until_ms)
        known = np.isfinite(outcome.forward_return + own) & (opened >= since_ms)
        columns = (opened, opened // step_ms, own, read, outcome.up.astype(np.float64))
        return [column[known] for column in columns]


class RealisedLog:
    """The bars of `bundle` that opened since `since_ms`, as was known at `until_ms`.

    `n_damaged` is the number of faults in the stretch of the log that was read. Raises OSError where a
    file can not be read, LogUnusable where a record holds no timeframe.
    """

    def __init__(self, folder: Path, bundle: str, since_ms: int, until_ms: int) -> None:
        self._since_ms, self._until_ms = since_ms, until_ms
        self._series: dict[tuple[str, str], _Series] = {}
        reader = LogReader(folder, _Line, since_day=utc_text(since_ms)[:10])
        for line in reader:
            name = line.symbol, line.timeframe
            series = self._series.get(name) or self._series.setdefault(name, _Series(line.timeframe))
            if line.open_time_ms + series.length_ms <= until_ms:
                series.add(line, bundle)
        self.n_damaged = reader.damage.n_total

    @property
    def horizons(self) -> list[str]:
        """Those of which something was said, the nearest first."""
        return sorted({name for one in self._series.values() for name in one.said}, key=int)

    def of(self, horizon: str) -> Realised:
        """What came of one horizon, in bars as text."""
        all_series = list(self._series.values())
        lengths = [series.length_ms for series in all_series] or [1]
        # With several timeframes, the longest label in steps of the shortest bar bounds every overlap.
        step_ms, longest_ms = min(lengths), max(lengths)
        parts = [
            series.rows(horizon, self._since_ms, self._until_ms, step_ms) for series in all_series
        ] or [[np.empty(0, dtype=np.int64)] * 2 + [np.empty(0)] * 3]
        opened, number, p, read, up = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Realised(opened, number, p, read, up, int(horizon) * longest_ms // step_ms)


def _probability(p: float | None) -> float:
    return p if p is not None and 0.0 <= p <= 1.0 else math.nan
