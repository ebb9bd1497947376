"""The windows of a dataset are rows of one symbol, bar after bar."""

from __future__ import annotations

import numpy as np

from training.dataset import Dataset
from training.windows import windows_over

HOUR_MS = 3_600_000


def dataset() -> Dataset:
    """Two symbols, of which the second lacks the bars of hours 7 and 8; each value tells its place."""
    places = [
        (hour, symbol) for hour in range(20) for symbol in (0, 1) if symbol == 0 or hour not in (7, 8)
    ]
    rows = np.array([[100 * symbol + hour, -hour] for hour, symbol in places], dtype=np.float32)
    hours = np.array([hour for hour, _ in places])
    symbols = np.array([symbol for _, symbol in places])
    return Dataset(("A", "B"), 2, rows, symbols, hours * HOUR_MS, {})


def test_a_window_is_the_last_rows_of_its_symbol() -> None:
    whole = dataset()
    windows = windows_over(whole, np.array([0]), 4, HOUR_MS)
    for row in np.flatnonzero(windows.whole):
        newest = whole.rows[row, 0]
        assert windows.of(np.array([row]))[0, :, 0].tolist() == [newest - back for back in (3, 2, 1, 0)]


def test_a_window_with_a_hole_is_not_whole() -> None:
    whole = dataset()
    windows = windows_over(whole, np.array([0, 1]), 4, HOUR_MS)
    lacking = whole.rows[~windows.whole, 0].tolist()
    assert sorted(lacking) == [0, 1, 2, 100, 101, 102, 109, 110, 111]


def test_fewer_rows_have_the_windows_they_had() -> None:
    whole = dataset()
    windows = windows_over(whole, np.array([0]), 3, HOUR_MS)
    kept = np.flatnonzero(windows.whole)[::2]
    np.testing.assert_array_equal(windows.only(kept).of(np.arange(kept.size)), windows.of(kept))
