"""Which bars did a decision rest on, as they were known then?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import ABSENT, CLOSE, HIGH, LOW, OPEN, Candles
from plugin.errors import WrongUse
from plugin.features.feature_set import SEQUENCE
from plugin.features.joined import joined_history
from plugin.looking_back import lookback, n_columns
from plugin.manifest import Manifest
from plugin.windows import Rows
from shadow.files import cut_lines, day_files
from shadow.record import BarRecord, RecordDamaged, RevisionRecord, decode_line

_PRICES = {"high": HIGH, "low": LOW, "close": CLOSE}
_MARK = b'"type":"revision"'


class Revision(NamedTuple):
    """Until line `seq` of the log, the bar that opened at `open_time_ms` was known as `seen`."""

    seq: int
    open_time_ms: int
    seen: tuple[float, float, float, float, float]


class Revisions:
    """The revisions of a log by symbol and timeframe."""

    def __init__(self, found: dict[tuple[str, str], list[Revision]]) -> None:
        self._found = found

    @classmethod
    def read(cls, log: Path) -> Revisions:
        """All of them; damaged lines are passed over."""
        found: dict[tuple[str, str], list[Revision]] = {}
        for path in day_files(log):
            for line in cut_lines(path):
                record = _revision(line) if _MARK in line[:64] else None
                if record is not None:
                    one = Revision(record.seq, record.open_time_ms, record.seen)
                    found.setdefault((record.symbol, record.timeframe), []).append(one)
        return cls(found)

    def before(self, symbol: str, timeframe: str, open_time_ms: int, seq: int) -> list[Revision]:
        """Those that came after line `seq`, of bars up to the one that opened at `open_time_ms`; the
        first of a bar is the one that counts, and stands last."""
        later = [
            one
            for one in self._found.get((symbol, timeframe), ())
            if one.seq > seq and one.open_time_ms <= open_time_ms
        ]
        return later[::-1]


def _revision(line: bytes) -> RevisionRecord | None:
    try:
        record = decode_line(line)
    except RecordDamaged:
        return None
    return record if isinstance(record, RevisionRecord) else None


class AuditBars:
    """Bars from a store. Each series is read once."""

    def __init__(self, store: CandleStore, venue: str) -> None:
        self._store = store
        self._venue = venue
        self._held: dict[tuple[str, str], Candles | None] = {}

    def rows(
        self,
        names: Sequence[str],
        timeframe: Timeframe,
        places: Sequence[tuple[int, int]],
        revisions: Revisions,
        manifest: Manifest,
    ) -> tuple[NDArray[np.float32], list[Rows], list[str | None]]:
        """The feature rows (n, columns) of `names[0]` beside the others as the bundle of `manifest`
        looks at them, the rows before each, and why one can not be had.

        `places` are the open time and the line in the log of n bars: what was revised after that line
        counts as it was seen before.
        """
        rows = np.full((len(places), n_columns(manifest)), np.nan, dtype=np.float32)
        n_earlier = manifest.n_earlier_rows
        earlier = [Rows(str(number), None) for number in range(len(places))]
        candles = [self._candles(name, timeframe) for name in names]
        own = candles[0]
        if own is None or any(one is None for one in candles):
            return rows, earlier, ["bars_not_stored"] * len(places)
        whole = [one for one in candles if one is not None]
        history, refused = joined_history(own, whole[1:], n_columns(manifest))
        reasons: list[str | None] = []
        for number, (open_ms, seq) in enumerate(places):
            at = (open_ms - own.first_open_ms) // timeframe.length_ms
            if not 0 <= at < own.n_bars or own.bars[ABSENT, at]:
                reasons.append("bars_not_stored")
                continue
            later = [revisions.before(name, timeframe.name, open_ms, seq) for name in names]
            if any(later):
                seen, was_refused = _rows_as_seen(whole, later, open_ms, manifest)
            else:
                seen = history[max(0, at - n_earlier) : at + 1]
                was_refused = bool(refused[at])
            rows[number] = np.nan if was_refused else seen[-1]
            earlier[number] = Rows(str(number), seen[:-1, : len(SEQUENCE.names)])
            reasons.append("window_incomplete" if was_refused else None)
        return rows, earlier, reasons

    def price(self, record: BarRecord, name: str) -> float | None:
        """A price of the bar of a record as it is stored; as recorded where it was not stored."""
        candles = self._candles(record.symbol, Timeframe.parse(record.timeframe))
        if candles is None:
            return None
        at = (record.open_time_ms - candles.first_open_ms) // candles.timeframe.length_ms
        return float(candles.bars[_PRICES[name], at])

    def _candles(self, symbol: str, timeframe: Timeframe) -> Candles | None:
        key = symbol, timeframe.name
        if key not in self._held:
            try:
                self._held[key] = self._store.read(self._venue, timeframe.name, symbol)
            except WrongUse:
                self._held[key] = None
        return self._held[key]


def _rows_as_seen(
    candles: Sequence[Candles],
    revisions: Sequence[Sequence[Revision]],
    open_ms: int,
    manifest: Manifest,
) -> tuple[NDArray[np.float32], bool]:
    """The rows up to that of the bar that opened at `open_ms`, with the bars as they were before the
    revisions; and whether the last one is refused."""
    patched = []
    for one, later in zip(candles, revisions, strict=True):
        length_ms = one.timeframe.length_ms
        first_ms = max(one.first_open_ms, open_ms - (lookback(manifest) - 1) * length_ms)
        window = one.between(first_ms, open_ms + length_ms)
        bars = window.bars.copy()
        for revision in later:
            at = (revision.open_time_ms - window.first_open_ms) // length_ms
            if 0 <= at < window.n_bars:
                bars[OPEN : OPEN + 5, at] = revision.seen
        patched.append(Candles(one.symbol, one.timeframe, window.first_open_ms, bars))
    rows, refused = joined_history(patched[0], patched[1:], n_columns(manifest))
    return rows[-1 - manifest.n_earlier_rows :], bool(refused[-1])
