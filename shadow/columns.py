"""How do a million records fit into memory?

Numbers go into typed columns, texts into a table of the few combinations there are. A row outside the
window, or on which the bundle in question was not asked, counts for nothing but its close: outcomes and
the reversal rule look at it.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.outcomes import bar_length_ms
from shadow.reader import BarKey
from shadow.record import Action, MemberStatus, Mode, StackingMode

_NAN = math.nan
_MAX_ERRORS = 100
_BATCH_BARS = 1024
OTHER_ERRORS = "other errors"
CONTEXT = -1
"""The `kind` of a row that counts for its close only."""


class _Member(msgspec.Struct, gc=False):
    status: MemberStatus
    us: float


class _Decision(msgspec.Struct, gc=False):
    action: Action | Literal["none"]


_UNDECIDED = _Decision("none")
"""A challenger's probabilities decide nothing."""


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


class _Challenger(msgspec.Struct, gc=False):
    bundle: str
    reason: str
    error: str | None
    members: dict[str, _Member]
    meta_p: float | None
    probabilities: dict[str, float | None]


class BothLine(BarLine, tag_field="type", tag="bar", gc=False):
    """The same with what the challenger said."""

    challenger: _Challenger | None


def as_told_by(bundle: str, lines: Iterable[BothLine]) -> Iterator[BothLine]:
    """The same lines; where `bundle` was the challenger, as if it had been the champion, in shadow."""
    for line in lines:
        told = line.challenger
        if told is not None and told.bundle == bundle:
            line.champion = bundle
            line.mode = "shadow"
            line.ml_stacking_mode = "active" if told.reason == "ok" else "inactive"
            line.ml_reason, line.ml_error = told.reason, told.error
            line.members, line.meta_p = told.members, told.meta_p
            line.probabilities = told.probabilities
            line.decision = _UNDECIDED
        yield line


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
    """`ml_reason` of a bar in the window; None of one that is context."""
    row: NDArray[np.int64]
    """Where the bar stands in the columns."""

    @property
    def series(self) -> tuple[str, str]:
        return self.symbol, self.timeframe


class Columns:
    """The bars that were closed by `now_ms`; those that opened since `since_ms` are the window.

    With a `bundle`, only those of them that it answered as champion; see `as_told_by`.

    `series_code`, `open_time_ms`, `close`, `kind`, `meta_p` and every column of `probabilities` have
    one item per bar, in the order of the log. `kind` indexes `kinds`, or is CONTEXT.
    """

    def __init__(
        self, since_ms: int, now_ms: int, symbols: frozenset[str], bundle: str | None = None
    ) -> None:
        self._bundle = bundle
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
        remaining = iter(lines)
        # A column of a batch at a time: half the cost of a bar at a time.
        while batch := list(islice(remaining, _BATCH_BARS)):
            wanted = []
            for line in batch:
                known = self._codes.get((line.symbol, line.timeframe)) or self._new_series(line)
                code, newest_ms = known
                if line.open_time_ms <= newest_ms:
                    self.series_code.append(code)
                    wanted.append(line)
            self._add(wanted)

    def _new_series(self, line: BarLine) -> tuple[int, int]:
        """Code of the series, and when the newest of its bars opened that had closed by now."""
        is_wanted = not self._symbols or line.symbol in self._symbols
        newest_ms = self._now_ms - bar_length_ms(line.timeframe) if is_wanted else -1
        known = self._codes[line.symbol, line.timeframe] = (len(self._codes), newest_ms)
        return known

    def _add(self, lines: list[BarLine]) -> None:
        for horizon in {horizon for line in lines for horizon in line.probabilities}:
            if horizon not in self.probabilities:
                self.probabilities[horizon] = array("d", [_NAN]) * len(self.close)
        for horizon, column in self.probabilities.items():
            stated = [line.probabilities.get(horizon) for line in lines]
            column.extend([_NAN if p is None else p for p in stated])
        self.open_time_ms.extend([line.open_time_ms for line in lines])
        self.close.extend([line.close for line in lines])
        self.meta_p.extend([_NAN if line.meta_p is None else line.meta_p for line in lines])
        kinds = [self._kind(line) for line in lines]
        self.kind.extend(kinds)
        for line, kind in zip(lines, kinds, strict=True):
            if kind == CONTEXT:
                continue
            for name, answer in line.members.items():
                self.latency_us[name][answer.status].append(answer.us)
            if line.ml_error is not None:
                self._add_error(line.ml_error)

    def _kind(self, line: BarLine) -> int:
        if line.open_time_ms < self._since_ms:
            return CONTEXT
        if self._bundle is not None and line.champion != self._bundle:
            return CONTEXT
        kind = (
            line.mode,
            line.ml_stacking_mode,
            line.ml_reason,
            line.decision.action,
            line.champion,
            line.flags.ML_EXCHANGE,
        )
        return self._kind_codes.setdefault(kind, len(self._kind_codes))

    def _add_error(self, text: str) -> None:
        is_kept = text in self.errors or len(self.errors) < _MAX_ERRORS
        self.errors[text if is_kept else OTHER_ERRORS] += 1
