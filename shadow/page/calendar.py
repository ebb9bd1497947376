"""On which hours of which days was there a probability, and where was none though one was due?"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadow.columns import SeriesRows
from shadow.coverage import ARRIVAL_GRACE_MS, Coverage
from shadow.window import Window

_CELL, _LEFT, _TOP = 12, 70, 16
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_MOST_ROWS = 31
_STEPS = 4


class Hours(NamedTuple):
    """Counts (rows, 24) of the bars that closed in an hour: due, and with a probability.

    A row is `n_days` days; the first begins with the day `first_day` since the epoch.
    """

    due: NDArray[np.int64]
    answered: NDArray[np.int64]
    first_day: int
    n_days: int


def count_hours(window: Window) -> Hours:
    """Lay out the whole window in at most 31 rows."""
    first_day = window.since_ms // _DAY_MS
    n_days_in_all = (window.now_ms - 1) // _DAY_MS - first_day + 1
    n_days = -(-n_days_in_all // _MOST_ROWS)
    due, answered = np.zeros((2, -(-n_days_in_all // n_days), 24), dtype=np.int64)
    hours = Hours(due, answered, first_day, n_days)
    for rows, coverage in zip(window.rows, window.coverage, strict=True):
        answered_ms = rows.open_time_ms[rows.in_window & rows.has_probability]
        for counts, open_ms in (
            (hours.due, _due_ms(rows, coverage, window)),
            (hours.answered, answered_ms),
        ):
            close_ms = open_ms + rows.length_ms - 1
            place = (close_ms // _DAY_MS - first_day) // n_days, close_ms // _HOUR_MS % 24
            np.add.at(counts, place, 1)
    return hours


def _due_ms(rows: SeriesRows, coverage: Coverage, window: Window) -> NDArray[np.int64]:
    """When the expected bars opened: counted as in `measure_coverage`."""
    length_ms = rows.length_ms
    first_ms = (-(-window.since_ms // length_ms) + coverage.bars_before_first_record) * length_ms
    newest_ms = (window.now_ms - ARRIVAL_GRACE_MS) // length_ms * length_ms - length_ms
    recorded_ms = rows.open_time_ms[rows.in_window]
    if recorded_ms.size:
        newest_ms = max(newest_ms, int(recorded_ms[-1]))
    due_ms = np.arange(first_ms, newest_ms + 1, length_ms, dtype=np.int64)
    return due_ms[~np.isin(due_ms, rows.open_time_ms[~rows.in_window])]


def calendar(hours: Hours, title: str, says: str) -> str:
    """An SVG of days by hours (UTC): the fuller a cell the more was answered; a cross where nothing."""
    n_rows = len(hours.due)
    size = f'viewBox="0 0 {_LEFT + 24 * _CELL} {_TOP + n_rows * _CELL}"'
    names = f"<title>{escape(title)}</title><desc>{escape(says)}</desc>"
    heads = "".join(
        f'<text x="{_LEFT + hour * _CELL}" y="11">{hour:02d}</text>' for hour in range(0, 24, 6)
    )
    rows = "".join(_row(hours, at) for at in range(n_rows))
    return f'<svg class="calendar" {size} role="img">{names}{heads}{rows}</svg>'


def _row(hours: Hours, at: int) -> str:
    top = _TOP + at * _CELL
    day = datetime.fromtimestamp((hours.first_day + at * hours.n_days) * 86_400, UTC)
    cells = "".join(
        _cell(_LEFT + hour * _CELL, top, int(hours.due[at, hour]), int(hours.answered[at, hour]))
        for hour in range(24)
    )
    return f'<text x="{_LEFT - 6}" y="{top + 9}" text-anchor="end">{day:%Y-%m-%d}</text>{cells}'


def _cell(left: int, top: int, n_due: int, n_answered: int) -> str:
    if not n_due:
        return f'<circle class="idle" cx="{left + 5}" cy="{top + 5}" r="1"/>'
    if not n_answered:
        return f'<path class="lost" d="M{left + 2} {top + 2}l6 6m0-6l-6 6"/>'
    step = n_answered * _STEPS // n_due  # the last one only where all are there
    return f'<rect class="q{step}" x="{left}" y="{top}" width="10" height="10" rx="1.5"/>'
