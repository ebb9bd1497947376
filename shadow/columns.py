"""How do a million records fit into memory?

Numbers go into typed columns, texts into a table of the few combinations there are. A row outside the
window keeps only its time and close: outcomes and the reversal rule of the window's bars look at them.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.outcomes import bar_length_ms
from shadow.reader import BarKey
from shadow.record import Action, MemberStatus, Mode, StackingMode

_NAN = math.nan
_MAX_ERRORS = 100
OTHER_ERRORS = "other errors"
CONTEXT = -1
"""The `kind` of a row outside the window."""


class _Member(msgspec.Struct, gc=False):
    status: MemberStatus
    us: float


class _Decision(msgspec.Struct, gc=False):
    action: Action


class _Flags(msgspec.Struct, gc=False):
    ML_EXCHANGE: str = ""
    ML_SOURCE: str = ""


Answers: TypeAlias = defaultdict[str, defaultdict[str, "array[float]"]]
"""The latencies of the window by member and status: one item per answer."""


class BarLine(BarKey, tag_field="type", tag="bar", gc=False):
    """What the report needs of a bar's line."""

    close: float
    mode: Mode
    ml_stacking_mode: StackingMode
    ml_reason: str
    ml_error: str | None
    members: dict[str, _Member]
    meta_p: float | None
    probabilities: dict[str, float | None]
    decision: _Decision
    champion: str | None
    flags: _Flags


class Kind(NamedTuple):
    """The texts of a record that take few values."""

    mode: str
    stacking: str
    reason: str
    action: str
    bundle: str | None
    exchange: str


class SeriesRows(msgspec.Struct, frozen=True):
    """The recorded bars of one series, oldest first; every array is (n,)."""

    symbol: str
    timeframe: str
    length_ms: int
    open_time_ms: NDArray[np.int64]
    close: NDArray[np.float64]
    in_window: NDArray[np.bool_]
    has_probability: NDArray[np.bool_]
    reason: NDArray[np.object_]
    """`ml_reason` of a bar in the window; None outside."""
    row: NDArray[np.int64]
    """Where the bar stands in the columns."""

    @property
    def series(self) -> tuple[str, str]:
        return self.symbol, self.timeframe


class Columns:
    """The bars that were closed by `now_ms`; those that opened since `since_ms` are the window.

    `series_code`, `open_time_ms`, `close`, `kind`, `meta_p` and every column of `probabilities` have
    one item per bar, in the order of the log. `kind` indexes `kinds`, or is CONTEXT.
    """

    def __init__(self, since_ms: int, now_ms: int, symbols: frozenset[str]) -> None:
        self._since_ms = since_ms
        self._now_ms = now_ms
        self._symbols = symbols
        self._codes: dict[tuple[str, str], tuple[int, int]] = {}
        self._kind_codes: dict[tuple[str, str, str, str, str | None, str], int] = {}
        self.series_code = array("i")
        self.open_time_ms = array("q")
        self.close = array("d")
        self.kind = array("i")
        self.meta_p = array("d")
        self.probabilities: dict[str, array[float]] = {}
        self.latency_us: Answers = defaultdict(lambda: defaultdict(lambda: array("d")))
        self.errors: Counter[str] = Counter()

    @property
    def series(self) -> list[tuple[str, str]]:
        """Symbol and timeframe by their code, those that are not wanted too."""
        return list(self._codes)

    @property
    def kinds(self) -> list[Kind]:
        return [Kind(*texts) for texts in self._kind_codes]

    def fill(self, lines: Iterable[BarLine]) -> None:
        """Take in every bar that belongs here. Raises LogUnusable for an unknown timeframe."""
        for line in lines:
            known = self._codes.get((line.symbol, line.timeframe)) or self._new_series(line)
            code, newest_ms = known
            open_time_ms = line.open_time_ms
            if open_time_ms > newest_ms:
                continue
            self.series_code.append(code)
            self.open_time_ms.append(open_time_ms)
            self.close.append(line.close)
            if open_time_ms < self._since_ms:
                self._add_context()
            else:
                self._add(line)

    def _new_series(self, line: BarLine) -> tuple[int, int]:
        """Code of the series, and when the newest of its bars opened that had closed by now."""
        is_wanted = not self._symbols or line.symbol in self._symbols
        newest_ms = self._now_ms - bar_length_ms(line.timeframe) if is_wanted else -1
        known = self._codes[line.symbol, line.timeframe] = (len(self._codes), newest_ms)
        return known

    def _add_context(self) -> None:
        self.kind.append(CONTEXT)
        self.meta_p.append(_NAN)
        for column in self.probabilities.values():
            column.append(_NAN)

    def _add(self, line: BarLine) -> None:
        kind = (
            line.mode,
            line.ml_stacking_mode,
            line.ml_reason,
            line.decision.action,
            line.champion,
            line.flags.ML_EXCHANGE,
        )
        self.kind.append(self._kind_codes.setdefault(kind, len(self._kind_codes)))
        self.meta_p.append(_NAN if line.meta_p is None else line.meta_p)
        probabilities = line.probabilities
        if probabilities.keys() != self.probabilities.keys():
            self._add_horizons(probabilities)
        for horizon, column in self.probabilities.items():
            p = probabilities.get(horizon)
            column.append(_NAN if p is None else p)
        for name, answer in line.members.items():
            self.latency_us[name][answer.status].append(answer.us)
        if line.ml_error is not None:
            is_kept = line.ml_error in self.errors or len(self.errors) < _MAX_ERRORS
            self.errors[line.ml_error if is_kept else OTHER_ERRORS] += 1

    def _add_horizons(self, probabilities: dict[str, float | None]) -> None:
        n_earlier = len(self.kind) - 1
        for horizon in probabilities.keys() - self.probabilities.keys():
            self.probabilities[horizon] = array("d", [_NAN]) * n_earlier
