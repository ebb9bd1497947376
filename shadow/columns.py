"""How do a million records fit into memory?

Numbers go into typed columns, texts into a table of the few combinations there are. A row outside the
window, or on which the bundle in question was not asked, counts for nothing but its close: outcomes and
the reversal rule look at it.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.bar_line import BarLine, Member
from shadow.outcomes import Closes, bar_length_ms
from shadow.record import MemberStatus

_NAN = math.nan
_MAX_ERRORS = 100
STATUSES = get_args(MemberStatus)
_STATUS_CODES = {None: -1} | {status: code for code, status in enumerate(STATUSES)}
ABSENT = _STATUS_CODES[None]
"""The `status` of a member that was not asked."""
_NOT_ASKED = Member(None, None, math.nan)
OTHER_ERRORS = "other errors"
_AT_ONCE = 128  # more of them leave the cache before they are looked at
_MAX_SIGNALS = 50
_MAX_KEYS = 10_000
OTHER_SIGNALS = "other signals"
CONTEXT = -1
"""The `kind` of a row that counts for its close only."""


class MemberColumns:
    """What one member said: an item per bar of the log, ABSENT where it was not asked.

    `p` at the primary horizon and `us`, the time it took, are NaN where there is none; `status` indexes
    STATUSES.
    """

    def __init__(self, n_before: int) -> None:
        self.p = array("f", [_NAN]) * n_before
        self.us = array("f", [_NAN]) * n_before
        self.status = array("b", [ABSENT]) * n_before

    def extend(self, said: Sequence[Member]) -> None:
        """Take in what it said of the next bars, _NOT_ASKED where it was not."""
        _extend(self.p, [one.p for one in said])
        _extend(self.us, [one.us for one in said])
        _extend(self.status, [_STATUS_CODES[one.status] for one in said])


class Kind(NamedTuple):
    """What takes few values in a record. `host_signal` is OTHER_SIGNALS where there are too many.

    `acting` are the horizons at which p' stood in the place of p; None where the record has no p'.
    """

    mode: str
    stacking: str
    reason: str
    action: str
    size_multiplier: float
    stop_atr: float
    regime: str
    host_signal: str | None
    bundle: str | None
    challenger: str | None
    exchange: str
    acting: tuple[str, ...] | None


class SeriesRows(msgspec.Struct, frozen=True):
    """The recorded bars of one series, oldest first; every array is (n,)."""

    symbol: str
    timeframe: str
    length_ms: int
    open_time_ms: NDArray[np.int64]
    close: NDArray[np.float64]
    known: Closes
    """All closes that outcomes may be looked up in: those of the records, and stored ones between."""
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

    `series_code`, `open_time_ms`, `high`, `low`, `close`, `kind`, `meta_p`, every column of
    `probabilities` and those of `members` have one item per bar, in the order of the log. `kind`
    indexes `kinds`, or is CONTEXT. What a record does not say is NaN.
    """

    def __init__(
        self, since_ms: int, now_ms: int, symbols: frozenset[str], bundle: str | None = None
    ) -> None:
        self._bundle = bundle
        self._since_ms = since_ms
        self._now_ms = now_ms
        self._symbols = symbols
        self._codes: dict[tuple[str, str], int] = {}
        self._until_ms: list[int] = []  # by code: when the newest bar opened that belongs here
        self._all_until_ms = now_ms
        self._kind_codes: dict[tuple[object, ...], int] = {}
        self._codes_of_kinds: dict[Kind, int] = {}
        self._signals: set[str | None] = {None}
        self.kinds: list[Kind] = []
        self.series_code = array("i")
        self.open_time_ms = array("q")
        self.high = array("d")
        self.low = array("d")
        self.close = array("d")
        self.kind = array("i")
        self.meta_p = array("d")
        self.probabilities: dict[str, array[float]] = {}
        self.members: dict[str, MemberColumns] = {}
        self.errors: Counter[str] = Counter()

    @property
    def series(self) -> list[tuple[str, str]]:
        """Symbol and timeframe by their code, those that are not wanted too."""
        return list(self._codes)

    def fill(self, batches: Iterable[Sequence[BarLine]]) -> None:
        """Take in every bar that belongs here. Raises LogUnusable for an unknown timeframe."""
        # A column of many bars at a time: a third of the cost of a bar at a time.
        lines: list[BarLine] = []
        for batch in batches:
            lines += batch
            if len(lines) >= _AT_ONCE:
                self._add(lines)
                lines = []
        if lines:
            self._add(lines)

    def _add(self, lines: list[BarLine]) -> None:
        codes = self._series_codes(lines)
        if max([line.open_time_ms for line in lines]) > self._all_until_ms:
            until_ms = [self._until_ms[code] for code in codes]
            wanted = [line.open_time_ms <= end for line, end in zip(lines, until_ms, strict=True)]
            lines, codes = list(compress(lines, wanted)), list(compress(codes, wanted))
        _extend(self.series_code, codes)
        self._add_wanted(lines)

    def _series_codes(self, lines: list[BarLine]) -> list[int]:
        codes = self._codes
        try:
            return [codes[line.symbol, line.timeframe] for line in lines]
        except KeyError:
            for line in lines:
                if (line.symbol, line.timeframe) not in codes:
                    self._add_series(line.symbol, line.timeframe)
            return self._series_codes(lines)

    def _add_series(self, symbol: str, timeframe: str) -> None:
        is_wanted = not self._symbols or symbol in self._symbols
        until_ms = self._now_ms - bar_length_ms(timeframe) if is_wanted else -1
        self._codes[symbol, timeframe] = len(self._codes)
        self._until_ms.append(until_ms)
        self._all_until_ms = min(self._until_ms)

    def _add_wanted(self, lines: list[BarLine]) -> None:
        n_before = len(self.close)
        said = [line.probabilities for line in lines]
        for name in set().union(*said) - self.probabilities.keys():
            self.probabilities[name] = array("d", [_NAN]) * n_before
        for name, column in self.probabilities.items():
            _extend(column, [one.get(name) for one in said])
        answers = [line.members for line in lines]
        for name in set().union(*answers) - self.members.keys():
            self.members[name] = MemberColumns(n_before)
        for name, member in self.members.items():
            member.extend([one.get(name, _NOT_ASKED) for one in answers])
        _extend(self.open_time_ms, [line.open_time_ms for line in lines])
        _extend(self.high, [line.high for line in lines])
        _extend(self.low, [line.low for line in lines])
        _extend(self.close, [line.close for line in lines])
        _extend(self.meta_p, [line.meta_p for line in lines])
        kinds = self._kinds_of(lines)
        _extend(self.kind, kinds)
        for line, kind in zip(lines, kinds, strict=True):
            if line.ml_error is not None and kind != CONTEXT:
                self._add_error(line.ml_error)

    def _kinds_of(self, lines: list[BarLine]) -> list[int]:
        kinds, known, since_ms = [], self._kind_codes, self._since_ms
        for line in lines:
            if line.open_time_ms < since_ms:
                kinds.append(CONTEXT)
                continue
            decision, challenger = line.decision, line.challenger
            # As Kind. A plain tuple, since a million of these are made.
            texts = (
                line.mode,
                line.ml_stacking_mode,
                line.ml_reason,
                decision.action,
                decision.size_multiplier,
                decision.stop_atr,
                decision.regime,
                line.host_signal,
                line.champion,
                None if challenger is None else challenger.bundle,
                line.flags.ML_EXCHANGE,
                _acting(line) if line.recalibrated else None,
            )
            code = known.get(texts)
            if code is None:
                code = self._code_of(Kind(*texts))
                if len(known) < _MAX_KEYS:  # a bot may tell another signal at every bar
                    known[texts] = code
            kinds.append(code)
        return kinds

    def _code_of(self, told: Kind) -> int:
        if self._bundle is not None and told.bundle != self._bundle:
            return CONTEXT
        kind = told._replace(host_signal=self._signal(told.host_signal))
        if kind not in self._codes_of_kinds:
            self._codes_of_kinds[kind] = len(self.kinds)
            self.kinds.append(kind)
        return self._codes_of_kinds[kind]

    def _signal(self, text: str | None) -> str | None:
        if text in self._signals:
            return text
        if len(self._signals) > _MAX_SIGNALS:
            return OTHER_SIGNALS
        self._signals.add(text)
        return text

    def _add_error(self, text: str) -> None:
        is_kept = text in self.errors or len(self.errors) < _MAX_ERRORS
        self.errors[text if is_kept else OTHER_ERRORS] += 1


def _acting(line: BarLine) -> tuple[str, ...]:
    return tuple(horizon for horizon, one in line.recalibrated.items() if one.acts)


def _extend(column: array[Any], items: Sequence[float | None]) -> None:
    """NaN for None: numpy makes it, but takes more than twice the time of packing."""
    try:
        column.frombytes(struct.pack(f"{len(items)}{column.typecode}", *items))
    except struct.error:
        column.frombytes(np.array(items, dtype=column.typecode).tobytes())
