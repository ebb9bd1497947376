import numpy as np
import pytest

from plugin.candles import ABSENT, CLOSE, HIGH, OPEN, VOLUME, on_grid
from plugin.errors import WrongUse
from tests.support.bars import HOURLY, bar_at, candles_of, open_ms


def test_bars_without_a_gap_are_laid_as_they_are():
    candles = candles_of([bar_at(0, 10.0), bar_at(1, 11.0)])
    assert candles.bars[:5].T.tolist() == [list(bar_at(0, 10.0).ohlcv), list(bar_at(1, 11.0).ohlcv)]
    assert not candles.bars[ABSENT].any()
    assert candles.bars.flags.c_contiguous


def test_an_absent_bar_is_flat_at_the_last_close_and_marked():
    candles = candles_of([bar_at(0, 10.0), bar_at(3, 11.0)])
    assert candles.bars[ABSENT].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert (candles.bars[OPEN : CLOSE + 1, 1:3] == 10.0).all()
    assert (candles.bars[VOLUME, 1:3] == 0.0).all()
    assert candles.bars[HIGH, 3] == 12.0


def test_open_times_are_those_of_the_columns():
    candles = candles_of([bar_at(2), bar_at(4)])
    assert candles.open_time_ms.tolist() == [open_ms(2), open_ms(3), open_ms(4)]


@pytest.mark.parametrize(
    "times",
    [
        [open_ms(1), open_ms(0)],
        [open_ms(0), open_ms(0)],
        [open_ms(0), open_ms(0) + 1],
        [open_ms(0) + 1],
    ],
)
def test_unordered_repeated_and_off_grid_times_are_refused(times):
    with pytest.raises(WrongUse, match="grid"):
        on_grid("BTC/USDT", HOURLY, np.array(times), np.ones((5, len(times))))


def test_no_bar_at_all_is_refused():
    with pytest.raises(WrongUse, match="at least one bar"):
        on_grid("BTC/USDT", HOURLY, np.array([], dtype=np.int64), np.ones((5, 0)))


@pytest.mark.parametrize(
    ("since", "until", "slots"),
    [
        (open_ms(1), open_ms(3), [1, 2]),
        (open_ms(0) + 1, open_ms(2) + 1, [1, 2]),
        (open_ms(-9), open_ms(1), [0]),
        (open_ms(2), open_ms(99), [2, 3]),
        (open_ms(2), open_ms(1), []),
        (open_ms(-9), open_ms(-5), []),
        (open_ms(50), open_ms(99), []),
    ],
)
def test_between_holds_the_bars_that_open_in_the_half_open_interval(since, until, slots):
    cut = candles_of(map(bar_at, range(4))).between(since, until)
    assert cut.bars[VOLUME].tolist() == slots
    assert cut.open_time_ms.tolist() == [open_ms(slot) for slot in slots]
    assert cut.bars.flags.c_contiguous
