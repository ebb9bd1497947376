import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.clock import ReplayClock, SystemClock, utc_text
from plugin.errors import WrongUse


def test_the_system_clock_tells_the_time_of_the_host_in_milliseconds():
    before = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before * 1000) <= now_ms <= time.time() * 1000


def test_the_replay_clock_stands_still_until_an_event():
    clock = ReplayClock(1_000)
    assert (clock.now_ms(), clock.now_ms()) == (1_000, 1_000)
    clock.advance_to(5_000)
    assert clock.now_ms() == 5_000


def test_two_events_may_share_an_instant():
    clock = ReplayClock(1_000)
    clock.advance_to(1_000)
    assert clock.now_ms() == 1_000


def test_the_replay_clock_never_goes_back():
    clock = ReplayClock(1_000)
    with pytest.raises(WrongUse, match="at 1000 ms or later, was 999"):
        clock.advance_to(999)
    assert clock.now_ms() == 1_000


@pytest.mark.parametrize("clock", [SystemClock(), ReplayClock(0)])
def test_durations_are_real_on_every_clock(clock):
    start_ns = clock.monotonic_ns()
    time.sleep(0.002)
    assert clock.monotonic_ns() - start_ns >= 2_000_000


@given(st.integers(0, 4_102_444_800_000), st.integers(0, 4_102_444_800_000))
def test_the_text_of_times_sorts_as_the_times_do(one_ms, other_ms):
    assert (utc_text(one_ms) < utc_text(other_ms)) == (one_ms < other_ms)


def test_the_text_of_a_time_keeps_the_millisecond():
    assert utc_text(1_735_689_600_007) == "2025-01-01T00:00:00.007Z"
