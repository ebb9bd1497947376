import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.errors import BarRejected, WrongUse
from tests.support.bars import HOURLY, START_MS, bar_at, open_ms

CLOSED_MS = open_ms(1)
NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "length_ms"),
    [("1m", 60_000), ("15m", 900_000), ("1h", 3_600_000), ("4h", 14_400_000), ("1d", 86_400_000)],
)
def test_a_timeframe_knows_its_length(name, length_ms):
    assert Timeframe.parse(name).length_ms == length_ms


@pytest.mark.parametrize("name", ["", "h", "0h", "01h", "7h", "1H", "1w", "1h ", "-1h", "1٣m", "1.5h"])
def test_what_is_no_timeframe_is_refused(name):
    with pytest.raises(WrongUse, match="timeframe"):
        Timeframe.parse(name)


@given(st.integers(1_300_000_000_000, 4_000_000_000_000), st.sampled_from(["15m", "1h", "1d"]))
def test_floor_is_the_open_time_of_the_bar_around_a_moment(time_ms, name):
    timeframe = Timeframe.parse(name)
    opened_ms = timeframe.floor(time_ms)
    assert opened_ms % timeframe.length_ms == 0
    assert opened_ms <= time_ms < opened_ms + timeframe.length_ms


def test_a_sound_bar_passes_from_the_moment_of_its_close():
    check_bar(bar_at(0), HOURLY, CLOSED_MS)


def test_a_bar_without_trades_passes():
    check_bar(bar_with(open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0), HOURLY, CLOSED_MS)


def test_a_bar_does_not_change():
    with pytest.raises(AttributeError):
        bar_at(0).close = 1.0


@pytest.mark.parametrize(
    ("reason", "wrong"),
    [
        ("timestamp_unit", {"open_time_ms": START_MS // 1000}),
        ("timestamp_unit", {"open_time_ms": START_MS * 1000}),
        ("timestamp_unit", {"open_time_ms": -START_MS}),
        ("off_grid", {"open_time_ms": START_MS - 1}),
        ("off_grid", {"open_time_ms": START_MS - 28 * 60_000}),
        ("not_closed", {"open_time_ms": open_ms(1)}),
        ("not_finite", {"open": NAN}),
        ("not_finite", {"high": INFINITY}),
        ("not_finite", {"volume": NAN}),
        ("not_positive", {"low": 0.0}),
        ("not_positive", {"close": -1.0, "low": -2.0}),
        ("not_positive", {"volume": -0.1}),
        ("ohlc_inconsistent", {"low": 99.7}),
        ("ohlc_inconsistent", {"high": 99.7}),
        ("ohlc_inconsistent", {"open": 200.0}),
        ("ohlc_inconsistent", {"open": 50.0}),
    ],
)
def test_a_broken_bar_is_rejected_with_its_reason(reason, wrong):
    with pytest.raises(BarRejected) as rejected:
        check_bar(bar_with(**wrong), HOURLY, CLOSED_MS)
    assert rejected.value.reason == reason


def test_a_bar_is_not_closed_one_millisecond_before_its_close():
    with pytest.raises(BarRejected, match="closed"):
        check_bar(bar_at(0), HOURLY, CLOSED_MS - 1)


def bar_with(**wrong: float) -> BarClosed:
    return msgspec.structs.replace(bar_at(0), **wrong)
