"""Windows are refused on exactly the stated grounds; each limit from both sides."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, HIGH, LOW, OPEN, VOLUME
from plugin.features import LOOKBACK_BARS, REFUSALS
from plugin.features.window import window_refusal
from tests.support.windows import deaden, random_walk


def refusal_of(bars: NDArray[np.float64], newest: int | None = None) -> str:
    return REFUSALS[window_refusal(bars, bars.shape[1] - 1 if newest is None else newest)]


def with_absent(*columns: int) -> NDArray[np.float64]:
    bars = random_walk(LOOKBACK_BARS)
    for at in columns:
        deaden(bars, at, at + 1)
        bars[ABSENT, at] = 1.0
    return bars


def test_a_whole_window_is_accepted_and_a_shorter_one_warms_up() -> None:
    bars = random_walk(LOOKBACK_BARS + 1)
    assert refusal_of(bars, LOOKBACK_BARS - 1) == "ok"
    assert refusal_of(bars, LOOKBACK_BARS - 2) == "warming_up"


@pytest.mark.parametrize("newest", [-1, LOOKBACK_BARS])
def test_a_column_that_does_not_exist_is_not_read(newest: int) -> None:
    assert refusal_of(random_walk(LOOKBACK_BARS), newest) == "warming_up"


def test_an_absent_bar_is_a_gap_while_it_is_among_the_newest_24() -> None:
    assert refusal_of(with_absent(LOOKBACK_BARS - 24)) == "gap"
    assert refusal_of(with_absent(LOOKBACK_BARS - 25)) == "ok"


def test_more_than_16_absent_bars_are_a_gap() -> None:
    assert refusal_of(with_absent(*range(100, 116))) == "ok"
    assert refusal_of(with_absent(*range(100, 117))) == "gap"


def test_24_bars_without_volume_are_a_dead_market() -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[VOLUME, -23:] = 0.0
    assert refusal_of(bars) == "ok"
    bars[VOLUME, -24] = 0.0
    assert refusal_of(bars) == "dead_market"


def test_24_equal_closes_are_a_dead_market() -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[CLOSE, -23:] = bars[CLOSE, -1]
    assert refusal_of(bars) == "ok"
    bars[CLOSE, -24] = bars[CLOSE, -1]
    assert refusal_of(bars) == "dead_market"


@pytest.mark.parametrize("row", [OPEN, HIGH, LOW, CLOSE, VOLUME])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, LOOKBACK_BARS - 1])
def test_a_value_that_is_no_number_anywhere_in_the_window_refuses_it(
    row: int, bad: float, column: int
) -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[row, column] = bad
    assert refusal_of(bars) == "not_finite"


def test_a_price_of_zero_refuses_the_window() -> None:
    bars = random_walk(LOOKBACK_BARS)
    bars[LOW, 7] = 0.0
    assert refusal_of(bars) == "not_finite"
