"""Which bars should have a probability, which have one, and why have the others none?"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.columns import SeriesRows
from shadow.outcomes import find_times

ARRIVAL_GRACE_MS = 60_000
"""A bar that closed less than this ago may still be on its way, and is not expected yet."""
GAP_REASON = "gap"
"""The `ml_reason` of a bar that came after a hole in the feed."""
FEED_GAP, NOT_RUNNING = "feed_gap", "not_running"
"""Why an expected bar has no record."""


class Coverage(msgspec.Struct, frozen=True):
    """Counts of the bars of one series in the window.

    `coverage` is the share of the expected bars that have a probability; NaN where none is expected.
    `holes` says why the others have none: a reason of the record, or of there being no record.
    """

    symbol: str
    timeframe: str
    bars_expected: int
    bars_recorded: int
    bars_with_probability: int
    coverage: float
    bars_before_first_record: int
    holes: dict[str, int]


def measure_coverage(
    rows: SeriesRows,
    since_ms: int,
    now_ms: int,
    started_earlier: bool,
    running_ms: NDArray[np.int64],
) -> Coverage:
    """Lay the series on its grid from `since_ms` to `now_ms` and count.

    Bars are expected from the start of the window, or from the first record where the series did not
    start earlier, but for those whose record is context only. `running_ms`, sorted: the open times at
    which any series has a record.
    """
    length_ms = rows.length_ms
    window_first_ms = -(-since_ms // length_ms) * length_ms
    recorded_ms = rows.open_time_ms[rows.in_window]
    first_ms = window_first_ms
    if not started_earlier and recorded_ms.size:
        first_ms = max(first_ms, int(recorded_ms[0]))
    newest_ms = (now_ms - ARRIVAL_GRACE_MS) // length_ms * length_ms - length_ms
    if recorded_ms.size:
        newest_ms = max(newest_ms, int(recorded_ms[-1]))
    expected_ms = np.arange(first_ms, newest_ms + 1, length_ms, dtype=np.int64)
    expected_ms = _without(expected_ms, rows.open_time_ms[~rows.in_window])
    lost_ms = _without(expected_ms, recorded_ms)
    holes = _holes(rows, lost_ms, running_ms)
    n_with = int(np.count_nonzero(rows.has_probability & rows.in_window))
    return Coverage(
        symbol=rows.symbol,
        timeframe=rows.timeframe,
        bars_expected=expected_ms.size,
        bars_recorded=recorded_ms.size,
        bars_with_probability=n_with,
        coverage=n_with / expected_ms.size if expected_ms.size else float("nan"),
        bars_before_first_record=(first_ms - window_first_ms) // length_ms,
        holes=dict(holes.most_common()),
    )


def _without(times_ms: NDArray[np.int64], others_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    return times_ms[~find_times(others_ms, times_ms)[1]]


def _holes(rows: SeriesRows, lost_ms: NDArray[np.int64], running_ms: NDArray[np.int64]) -> Counter[str]:
    """Bars without a probability by reason.

    A bar without a record was lost by the feed where another series has one at that time, or where the
    next record of its own series was refused for a gap; otherwise nothing was running.
    """
    silent = rows.in_window & ~rows.has_probability
    holes: Counter[str] = Counter(rows.reason[silent].tolist())
    following = np.searchsorted(rows.open_time_ms, lost_ms)
    next_reason = np.append(rows.reason, np.array([None]))[following]
    by_feed = find_times(running_ms, lost_ms)[1] | (next_reason == GAP_REASON)
    n_by_feed = int(np.count_nonzero(by_feed))
    if n_by_feed:
        holes[FEED_GAP] += n_by_feed
    if n_by_feed < lost_ms.size:
        holes[NOT_RUNNING] += lost_ms.size - n_by_feed
    return holes
