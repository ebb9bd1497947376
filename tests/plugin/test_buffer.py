import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.bar import BarClosed
from plugin.buffer import HELD_BARS, Arrival, ArrivalKind, BarBuffer
from plugin.candles import ABSENT, CLOSE, OPEN, VOLUME
from plugin.errors import BarRejected, WrongUse
from plugin.features import row_of_newest, rows_of_history
from tests.support.bars import HOURLY, SYMBOL, bar_at, candles_of, open_ms
from tests.support.market_candles import load_candles

NEW, REPEAT, REVISION, LATE, AFTER_GAP = ArrivalKind
LOOKBACK = 6


def buffer_with(*slots: int, lookback: int = LOOKBACK) -> BarBuffer:
    buffer = BarBuffer(SYMBOL, HOURLY, lookback)
    for slot in slots:
        buffer.push(bar_at(slot))
    return buffer


def held(buffer: BarBuffer) -> np.ndarray:
    return buffer.bars[:, buffer.newest + 1 - buffer.n_bars : buffer.newest + 1]


def volumes(buffer: BarBuffer) -> list[float]:
    return held(buffer)[VOLUME].tolist()


def absent(buffer: BarBuffer) -> list[float]:
    return held(buffer)[ABSENT].tolist()


def test_an_empty_buffer_holds_nothing():
    buffer = buffer_with()
    assert (buffer.n_bars, buffer.newest) == (0, -1)


def test_bars_in_order_are_new():
    buffer = buffer_with()
    assert [buffer.push(bar_at(slot)) for slot in (1, 2, 3)] == [Arrival(NEW)] * 3
    assert volumes(buffer) == [1.0, 2.0, 3.0]
    assert buffer.newest_open_ms == open_ms(3)


def test_only_the_newest_lookback_bars_are_held_and_always_in_one_stretch():
    buffer = buffer_with()
    address = buffer.bars.ctypes.data
    for slot in range(10 * LOOKBACK):
        buffer.push(bar_at(slot))
        assert volumes(buffer) == list(range(max(0, slot + 1 - LOOKBACK), slot + 1))
        assert buffer.n_bars == min(slot + 1, LOOKBACK)
    assert buffer.bars.ctypes.data == address
    assert buffer.bars.flags.c_contiguous


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_the_same_bar_again_is_a_repeat(slot):
    buffer = buffer_with(1, 2, 3)
    before = held(buffer).copy()
    assert buffer.push(bar_at(slot)) == Arrival(REPEAT)
    assert np.array_equal(held(buffer), before)


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_other_values_for_a_held_bar_are_a_revision_that_shows_the_first_version(slot):
    buffer = buffer_with(1, 2, 3)
    revised = bar_at(slot, close=105.0)
    assert buffer.push(revised) == Arrival(REVISION, seen=bar_at(slot).ohlcv)
    assert tuple(held(buffer)[:ABSENT, slot - 1]) == revised.ohlcv
    assert buffer.push(revised) == Arrival(REPEAT)
    assert buffer.newest_open_ms == open_ms(3)


def test_bars_after_a_gap_find_flat_absent_ones_before_them():
    buffer = buffer_with(1, 2)
    assert buffer.push(bar_at(5, close=110.0)) == Arrival(AFTER_GAP, n_missing=2)
    assert absent(buffer) == [0, 0, 1, 1, 0]
    assert (held(buffer)[OPEN : CLOSE + 1, 2:4] == 100.0).all()
    assert volumes(buffer) == [1, 2, 0, 0, 5]


def test_a_late_bar_fills_its_absent_slot_and_moves_the_flat_ones_behind_it():
    buffer = buffer_with(1, 5)
    assert buffer.push(bar_at(3, close=90.0)) == Arrival(LATE)
    assert absent(buffer) == [0, 1, 0, 1, 0]
    assert held(buffer)[CLOSE].tolist() == [100, 100, 90, 90, 100]
    assert buffer.newest_open_ms == open_ms(5)


def test_a_revision_moves_the_flat_bars_behind_it():
    buffer = buffer_with(1, 3)
    buffer.push(bar_at(1, close=90.0))
    assert held(buffer)[CLOSE].tolist() == [90, 90, 100]


def test_a_bar_older_than_all_held_ones_is_late_and_held_while_there_is_room():
    buffer = buffer_with(5, 6)
    assert buffer.push(bar_at(3)) == Arrival(LATE)
    assert (volumes(buffer), absent(buffer)) == ([3, 0, 5, 6], [0, 1, 0, 0])


def test_a_bar_older_than_the_lookback_is_late_and_let_go():
    buffer = buffer_with(*range(20))
    before = held(buffer).copy()
    assert buffer.push(bar_at(20 - LOOKBACK - 1)) == Arrival(LATE)
    assert np.array_equal(held(buffer), before)


def test_the_oldest_held_bar_is_a_repeat_and_not_late():
    assert buffer_with(*range(20)).push(bar_at(20 - LOOKBACK)) == Arrival(REPEAT)


def test_a_gap_as_long_as_the_lookback_starts_anew():
    buffer = buffer_with(*range(10))
    assert buffer.push(bar_at(10 + LOOKBACK)) == Arrival(AFTER_GAP, n_missing=LOOKBACK)
    assert (buffer.n_bars, volumes(buffer)) == (1, [10 + LOOKBACK])


def test_the_longest_gap_that_leaves_a_bar_keeps_it():
    buffer = buffer_with(*range(10))
    buffer.push(bar_at(9 + LOOKBACK - 1))
    assert absent(buffer) == [0, 1, 1, 1, 1, 0]


def test_a_bar_off_the_grid_is_rejected_also_as_the_first():
    for buffer in (buffer_with(), buffer_with(1)):
        bar = BarClosed(SYMBOL, "1h", open_ms(1) + 1, *bar_at(1).ohlcv, "test", 0)
        with pytest.raises(BarRejected) as rejected:
            buffer.push(bar)
        assert rejected.value.reason == "off_grid"


def test_history_warms_an_empty_buffer():
    buffer = buffer_with()
    candles = candles_of(map(bar_at, (1, 2, 4, 5, 6, 7, 8, 9)))
    buffer.extend(candles)
    assert np.array_equal(held(buffer), candles.bars[:, -LOOKBACK:])
    assert buffer.push(bar_at(10)) == Arrival(NEW)


def test_history_that_begins_with_an_absent_bar_keeps_its_length():
    buffer = buffer_with()
    candles = candles_of(map(bar_at, (1, 3, 4))).between(open_ms(2), open_ms(9))
    buffer.extend(candles)
    assert np.array_equal(held(buffer), candles.bars)


def test_history_that_ends_with_absent_bars_leaves_them_to_be_missed():
    buffer = buffer_with()
    buffer.extend(candles_of(map(bar_at, (1, 2, 5))).between(open_ms(1), open_ms(4)))
    assert buffer.newest_open_ms == open_ms(2)
    assert buffer.push(bar_at(4)) == Arrival(AFTER_GAP, n_missing=1)


def test_history_fills_a_gap_and_takes_no_bar_away():
    buffer = buffer_with(1, 2, 5)
    buffer.extend(candles_of(map(bar_at, (0, 1, 3))))
    assert (volumes(buffer), absent(buffer)) == ([0, 1, 2, 3, 0, 5], [0, 0, 0, 0, 1, 0])


def test_history_without_a_bar_changes_nothing():
    buffer = buffer_with(1)
    buffer.extend(candles_of([bar_at(1)]).between(open_ms(5), open_ms(6)))
    assert volumes(buffer) == [1]


def test_history_of_another_symbol_or_timeframe_is_refused():
    with pytest.raises(WrongUse, match="candles of BTC/USDT 1h, was ETH/USDT 1h"):
        buffer_with().extend(candles_of([bar_at(1, symbol="ETH/USDT")]))


class NaiveBuffer:
    """The same promise kept slowly: a dict of bars, laid on the grid anew for every look."""

    def __init__(self) -> None:
        self.bars: dict[int, BarClosed] = {}

    def push(self, slot: int, bar: BarClosed) -> ArrivalKind:
        newest = max(self.bars, default=None)
        if newest is None or slot == newest + 1:
            kind = NEW
        elif slot > newest:
            kind = AFTER_GAP
        elif slot not in self.bars or slot <= newest - LOOKBACK:
            kind = LATE
        else:
            kind = REPEAT if self.bars[slot].ohlcv == bar.ohlcv else REVISION
        if newest is not None and slot - newest >= LOOKBACK:
            self.bars.clear()
        if newest is None or slot > newest - LOOKBACK:
            self.bars[slot] = bar
        return kind

    @property
    def window(self) -> np.ndarray:
        return candles_of(self.bars.values()).bars[:, -LOOKBACK:]


STEPS = st.lists(
    st.tuples(
        st.integers(-LOOKBACK - 2, LOOKBACK + 2) | st.just(1), st.sampled_from([99.0, 100.0, 101.0])
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_any_order_of_bars_ends_as_the_same_bars_laid_on_the_grid(steps):
    buffer, naive, newest = buffer_with(), NaiveBuffer(), 0
    for step, close in steps:
        bar = bar_at(newest + step, close)
        assert buffer.push(bar).kind is naive.push(newest + step, bar)
        newest = max(naive.bars)
        assert np.array_equal(held(buffer), naive.window)
        assert buffer.newest_open_ms == open_ms(newest)


@given(st.permutations(range(LOOKBACK)), st.sets(st.integers(0, LOOKBACK - 1), min_size=1))
@settings(deadline=None)
def test_the_order_of_bars_within_the_lookback_does_not_matter(order, present):
    arrived = [slot for slot in order if slot in present]
    assert np.array_equal(held(buffer_with(*arrived)), held(buffer_with(*sorted(present))))


@given(STEPS, st.sets(st.integers(-LOOKBACK, LOOKBACK), min_size=1))
@settings(deadline=None)
def test_history_is_the_same_as_its_bars_one_by_one(steps, slots):
    at_once, one_by_one, newest = buffer_with(0), buffer_with(0), 0
    for step, close in steps:
        for buffer in (at_once, one_by_one):
            buffer.push(bar_at(newest + step, close))
        newest = max(newest, newest + step)
    history = [bar_at(newest + slot, 95.0) for slot in slots]
    at_once.extend(candles_of(history))
    # Newest first, as an older bar must find the room that the newest leaves it.
    for bar in sorted(history, key=lambda bar: bar.open_time_ms, reverse=True):
        one_by_one.push(bar)
    assert np.array_equal(from_first_bar(at_once), from_first_bar(one_by_one))


def from_first_bar(buffer: BarBuffer) -> np.ndarray:
    """What is held, less the absent columns before the first bar: single bars can not tell of them."""
    columns = held(buffer)
    return columns[:, np.argmin(columns[ABSENT]) :]


@pytest.mark.market
def test_real_bars_pushed_one_by_one_are_the_stored_ones(market):
    candles = load_candles(market, "BTC-USDT").between(open_ms(-3000), open_ms(-1000))
    buffer = BarBuffer("BTC-USDT", HOURLY)
    for opened_ms, column in zip(candles.open_time_ms.tolist(), candles.bars.T.tolist(), strict=True):
        if not column[ABSENT]:
            buffer.push(BarClosed("BTC-USDT", "1h", opened_ms, *column[:ABSENT], "test", 0))
    assert buffer.n_bars == HELD_BARS
    assert np.array_equal(held(buffer), candles.bars[:, -HELD_BARS:])


@pytest.mark.market
def test_a_replayed_bar_gets_the_feature_row_of_history_to_the_last_bit(market):
    candles = load_candles(market, "BTC-USDT").between(open_ms(-1700), open_ms(-1000))
    rows, refusals = rows_of_history(candles)
    buffer = BarBuffer("BTC-USDT", HOURLY)
    buffer.extend(candles.between(open_ms(-1700), open_ms(-1100)))
    row = np.empty(rows.shape[1], dtype=np.float32)
    for i in range(600, candles.n_bars):
        opened_ms = int(candles.open_time_ms[i])
        buffer.push(
            BarClosed("BTC-USDT", "1h", opened_ms, *candles.bars[:ABSENT, i].tolist(), "test", 0)
        )
        refusal = row_of_newest(
            buffer.bars, buffer.newest, buffer.newest_open_ms, HOURLY.length_ms, row
        )
        assert refusal == refusals[i] == 0
        assert row.tobytes() == rows[i].tobytes()
