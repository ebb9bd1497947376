"""Which records belong to the days before a moment, and which bars are missing among them?"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import msgspec
import numpy as np

from shadow.bar_line import BarLine, BothLine, as_told_by
from shadow.columns import CONTEXT, Columns, SeriesRows
from shadow.coverage import Coverage, measure_coverage
from shadow.files import day_files, day_of, utc_text
from shadow.outcomes import Closes, bar_length_ms
from shadow.reader import BarKey, Damage, LogReader
from shadow.stored_closes import StoredCloses

_DAY_MS = 86_400_000


class Window(msgspec.Struct, frozen=True):
    """The bars that opened since `since_ms` and had closed by `now_ms`, as they could be known then.

    `rows` also holds bars that are context only: those just before the window, for what looks back from
    its first ones, and in the window of one bundle those on which it was not asked. `coverage` has one
    item per series. `damage` counts all that was read.
    """

    since_ms: int
    now_ms: int
    days: float
    columns: Columns
    rows: list[SeriesRows]
    coverage: list[Coverage]
    damage: Damage
    n_repairs: int
    n_revisions: int


def read_window(
    folder: Path,
    now_ms: int,
    days: float,
    symbols: frozenset[str] = frozenset(),
    bundle: str | None = None,
    store: StoredCloses | None = None,
) -> Window:
    """Read the `days` before `now_ms`; an empty `symbols` means all. A `store` fills in closes.

    Without a `bundle`, what the champions said. With the id of one, what that bundle said, as champion
    or as challenger; the window then begins no earlier than the first bar on which it was either, and
    is empty where there is none.
    Raises OSError where a file can not be read, LogUnusable where a record holds no timeframe.
    """
    since_ms = now_ms - round(days * _DAY_MS)
    first_day = _first_day(folder, utc_text(since_ms)[:10])
    columns = Columns(since_ms, now_ms, symbols, bundle)
    # No last day: after a clock ran ahead, the bars of today lie in the file of a day to come.
    reader: LogReader[BarLine] | LogReader[BothLine]
    if bundle is None:
        reader = LogReader(folder, BarLine, since_day=first_day)
        columns.fill(reader.batches())
    else:
        reader = LogReader(folder, BothLine, since_day=first_day)
        columns.fill(as_told_by(bundle, lines) for lines in reader.batches())
    rows = _rows_of_series(columns, now_ms, store)
    if bundle is not None:
        since_ms = min(
            (int(one.open_time_ms[one.in_window][0]) for one in rows if one.in_window.any()),
            default=now_ms,
        )
    return Window(
        since_ms=since_ms,
        now_ms=now_ms,
        days=days,
        columns=columns,
        rows=rows,
        coverage=_coverage(folder, first_day, rows, since_ms, now_ms),
        damage=reader.damage,
        n_repairs=reader.n_repairs,
        n_revisions=reader.n_revisions,
    )


def replayed_until(folder: Path) -> int | None:
    """When the newest recorded bar closed, where the log is a replay; None where it was live or empty.

    A replay's clock is that of its bars, so its "now" is where it stopped.
    """
    for path in reversed(day_files(folder)):
        newest = deque(LogReader(folder, BarLine, day_of(path), day_of(path)), maxlen=1)
        if newest:
            closed_ms = newest[0].open_time_ms + bar_length_ms(newest[0].timeframe)
            return closed_ms if newest[0].flags.ML_SOURCE == "replay" else None
    return None


def _first_day(folder: Path, since_day: str) -> str:
    """The newest file before the window is read too: it tells what was followed, and earlier closes."""
    earlier = [day_of(path) for path in day_files(folder) if day_of(path) < since_day]
    return earlier[-1] if earlier else since_day


def _rows_of_series(columns: Columns, now_ms: int, store: StoredCloses | None) -> list[SeriesRows]:
    """The series that have a bar, by symbol and timeframe, each in time order."""
    code, kind = np.array(columns.series_code), np.array(columns.kind)
    open_time_ms, close = np.array(columns.open_time_ms), np.array(columns.close)
    has_probability = np.isfinite(np.array(columns.meta_p))
    # CONTEXT is -1, so the last reason is that of a bar outside the window.
    reason = np.array([*(kind.reason for kind in columns.kinds), None], dtype=object)
    order = np.argsort(code, kind="stable")
    bounds = np.searchsorted(code[order], np.arange(len(columns.series) + 1))
    all_rows = []
    for at, (symbol, timeframe) in enumerate(columns.series):
        row = order[bounds[at] : bounds[at + 1]]
        if row.size:
            length_ms = bar_length_ms(timeframe)
            recorded = Closes(open_time_ms[row], close[row])
            known = recorded
            if store is not None:
                known = store.complete(symbol, timeframe, recorded, now_ms - length_ms)
            rows = SeriesRows(
                symbol=symbol,
                timeframe=timeframe,
                length_ms=length_ms,
                open_time_ms=recorded.open_time_ms,
                close=recorded.close,
                known=known,
                in_window=kind[row] != CONTEXT,
                has_probability=has_probability[row],
                reason=reason[kind[row]],
                row=row,
            )
            all_rows.append(rows)
    return sorted(all_rows, key=lambda rows: (rows.symbol, rows.timeframe))


def _coverage(
    folder: Path, first_day: str, all_rows: list[SeriesRows], since_ms: int, now_ms: int
) -> list[Coverage]:
    if not all_rows:
        return []
    running_ms = np.unique(np.concatenate([rows.open_time_ms for rows in all_rows]))
    fresh = {rows.series for rows in all_rows if rows.in_window[0]}
    fresh -= _recorded_before(folder, first_day, fresh)
    return [
        measure_coverage(rows, since_ms, now_ms, rows.series not in fresh, running_ms)
        for rows in all_rows
    ]


def _recorded_before(folder: Path, day: str, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of the series have a record in a file before `day`; reads no more files than it must."""
    missing = set(wanted)
    earlier = [path for path in day_files(folder) if day_of(path) < day]
    while missing and earlier:
        path = earlier.pop()
        reader = LogReader(folder, BarKey, day_of(path), day_of(path))
        deque(reader, maxlen=0)
        missing -= reader.newest_open_ms.keys()
    return wanted - missing
