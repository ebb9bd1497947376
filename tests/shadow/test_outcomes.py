"""Outcomes from the records' own closes, and from stored ones where a record is missing."""

import numpy as np
import pytest

from shadow.errors import LogUnusable
from shadow.outcomes import Closes, bar_length_ms, find_times, outcomes
from tests.support.records import HOUR_MS, START_MS

N = 40
TIMES = START_MS + np.arange(N, dtype=np.int64) * HOUR_MS
CLOSES = 100.0 + np.random.default_rng(0).standard_normal(N).cumsum()
END_MS = int(TIMES[-1]) + HOUR_MS
ALL = Closes(TIMES, CLOSES)


def those(rows):
    return Closes(TIMES[rows], CLOSES[rows])


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_up_is_a_close_above_the_one_h_bars_before(horizon):
    known = outcomes(ALL, ALL, HOUR_MS, horizon, END_MS)
    for t in range(N - horizon):
        assert known.up[t] == (CLOSES[t + horizon] > CLOSES[t])
        assert known.forward_return[t] == CLOSES[t + horizon] / CLOSES[t] - 1.0
    assert known.waiting.tolist() == [False] * (N - horizon) + [True] * horizon
    assert not known.missing.any()


def test_an_equal_close_is_not_up():
    level = Closes(TIMES, np.full(N, 7.0))
    assert not outcomes(level, level, HOUR_MS, 5, END_MS).up.any()


def test_an_outcome_waits_until_its_last_bar_has_closed():
    moment_before = outcomes(ALL, ALL, HOUR_MS, 5, int(TIMES[10]) + HOUR_MS - 1)
    assert moment_before.waiting[5]
    assert np.isnan(moment_before.forward_return[5])
    at_the_close = outcomes(ALL, ALL, HOUR_MS, 5, int(TIMES[10]) + HOUR_MS)
    assert not at_the_close.waiting[5]
    assert np.isfinite(at_the_close.forward_return[5])


def test_a_bar_that_was_never_recorded_leaves_its_outcomes_unknown():
    kept = np.arange(N) != 20
    known = outcomes(those(kept), those(kept), HOUR_MS, 5, END_MS)
    assert np.flatnonzero(known.missing).tolist() == [15]
    assert np.isnan(known.forward_return[15])
    assert not known.up[15]


def test_a_close_that_is_known_from_elsewhere_completes_them():
    kept = np.arange(N) != 20
    known = outcomes(those(kept), ALL, HOUR_MS, 5, END_MS)
    assert not known.missing.any()
    assert known.forward_return[15] == CLOSES[20] / CLOSES[15] - 1.0


def test_later_bars_do_not_change_what_was_known():
    early = outcomes(those(slice(30)), those(slice(30)), HOUR_MS, 5, END_MS - 10 * HOUR_MS)
    late = outcomes(ALL, ALL, HOUR_MS, 5, END_MS)
    assert np.array_equal(early.forward_return[:25], late.forward_return[:25])


def test_a_close_that_is_not_there_is_nan():
    past = ALL.at(TIMES - 3 * HOUR_MS)
    assert np.isnan(past[:3]).all()
    assert np.array_equal(past[3:], CLOSES[:-3])


def test_no_bars_have_no_outcomes():
    none = outcomes(those(slice(0)), ALL, HOUR_MS, 5, END_MS)
    assert none.up.size == none.waiting.size == none.missing.size == 0
    assert np.isnan(those(slice(0)).at(TIMES)).all()


@pytest.mark.parametrize(
    ("name", "length_ms"), [("1m", 60_000), ("15m", 900_000), ("4h", 14_400_000), ("1d", 86_400_000)]
)
def test_the_length_of_a_timeframe(name, length_ms):
    assert bar_length_ms(name) == length_ms


@pytest.mark.parametrize("name", ["", "h", "0h", "1x", "1h ", "-1h"])
def test_a_timeframe_that_is_none_is_refused(name):
    with pytest.raises(LogUnusable, match="timeframe"):
        bar_length_ms(name)


def test_times_are_found_around_holes_and_beyond_the_ends():
    times = np.array([10, 20, 30, 60, 70, 80])
    wanted = np.array([0, 10, 20, 25, 30, 40, 60, 70, 80, 90])
    at, is_there = find_times(times, wanted)
    assert np.array_equal(is_there, np.isin(wanted, times))
    assert np.array_equal(times[at[is_there]], wanted[is_there])
    for some in (times, times[:0]):
        assert not find_times(times[:0], some)[1].any()
        assert find_times(some, times[:0])[1].size == 0


@pytest.mark.parametrize("shift", [-3, 0, 3])
def test_times_of_a_whole_series_are_found_at_any_shift(shift):
    times = np.arange(100) * 10
    wanted = times + shift * 10
    at, is_there = find_times(times, wanted)
    assert np.array_equal(is_there, np.isin(wanted, times))
    assert np.array_equal(times[at[is_there]], wanted[is_there])
