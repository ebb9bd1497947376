"""Days by hours: what was due, and what was answered."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from shadow.page.calendar import calendar, count_hours
from shadow.window import read_window
from tests.support.evidence_log import evidence_log
from tests.support.records import HOUR_MS, START_MS, bar, silent_bar, write_log

DAY_MS = 24 * HOUR_MS


def hours_of(folder, n_hours, days):
    window = read_window(folder, START_MS + n_hours * HOUR_MS, days)
    return count_hours(window), window


def shapes(hours):
    """The classes of the cells, row by row."""
    root = ElementTree.fromstring(calendar(hours, "t", "s"))  # noqa: S314  (our own)
    return [cell.get("class") for cell in root if cell.tag in {"rect", "path", "circle"}]


@pytest.mark.parametrize("days", [1, 3, 30, 400])
def test_it_counts_the_bars_that_coverage_expects(tmp_path, days):
    evidence_log(tmp_path, n_bars=150)
    hours, window = hours_of(tmp_path, 150, days)
    assert hours.due.sum() == sum(one.bars_expected for one in window.coverage)
    assert hours.answered.sum() == sum(one.bars_with_probability for one in window.coverage)
    assert (hours.answered <= hours.due).all()


def test_a_bar_stands_in_the_hour_that_it_closes(tmp_path):
    opened = datetime.fromtimestamp(START_MS / 1000, UTC)
    write_log(tmp_path, [bar(0), bar(1)])
    hours, _ = hours_of(tmp_path, 2, 1)
    assert hours.due[-1, opened.hour : opened.hour + 2].tolist() == [1, 1]
    assert hours.due.sum() == 2


def test_an_hour_says_all_some_none_or_not_expected(tmp_path):
    told = [bar(0), bar(1), silent_bar(2, "gap"), bar(5)]
    told += [bar(0, symbol="ETH/USDT"), silent_bar(1, "gap", symbol="ETH/USDT")]
    told += [silent_bar(2, "gap", symbol="ETH/USDT"), bar(5, symbol="ETH/USDT")]
    write_log(tmp_path, sorted(told, key=lambda one: one.open_time_ms))
    hours, _ = hours_of(tmp_path, 6, 1)
    seen = [shape for shape in shapes(hours) if shape != "idle"]
    assert seen == ["q4", "q2", "lost", "lost", "lost", "q4"]


def test_a_long_window_is_shown_whole_with_several_days_a_row(tmp_path):
    write_log(tmp_path, [bar(0)])
    hours, window = hours_of(tmp_path, 1, 365)
    assert len(hours.due) <= 31
    assert hours.n_days == 12
    assert hours.first_day == window.since_ms // DAY_MS
    assert hours.due.sum() == 1


def test_bars_of_minutes_share_an_hour(tmp_path):
    told = [
        replace(bar(0, timeframe="15m", meta_p=p), open_time_ms=START_MS + n * HOUR_MS // 4)
        for n, p in enumerate([0.5, None, 0.5, 0.5])
    ]
    write_log(tmp_path, told)
    hours, _ = hours_of(tmp_path, 1, 1)
    assert hours.due.max() == 4
    assert [shape for shape in shapes(hours) if shape != "idle"] == ["q3"]
