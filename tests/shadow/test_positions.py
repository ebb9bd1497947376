"""What a position earns, step by step, in numbers worked out by hand."""

import numpy as np
import pytest

from shadow.positions import Stops, TradedBars, average_true_range, follow
from tests.support.records import HOUR_MS, START_MS

ONES = np.ones(6)
UP_AND_DOWN = np.array([100.0, 110.0, 99.0, 99.0, 108.9, 108.9])


def sides(*side: int):
    return np.array(side, dtype=np.int8)


def stops(low, high, distance=2.0, atr=1.0) -> Stops:
    n = len(low)
    return Stops(np.array(high, float), np.array(low, float), np.full(n, distance), np.full(n, atr))


def test_a_decision_counts_from_its_close_to_the_next_one():
    path = follow(sides(1, -1, 0, 1, 1, 1), ONES, UP_AND_DOWN, None)
    assert path.gross == pytest.approx([0.1, 0.1, 0.0, 0.1, 0.0])
    assert path.position.tolist() == [1, -1, 0, 1, 1]
    assert path.turnover.tolist() == [1, 2, 1, 1, 1], "in, round, out, in, and out at the end"


def test_a_smaller_size_earns_and_costs_less():
    path = follow(sides(1, 1, 1, 0, 0, 0), np.array([1, 0.5, 1, 1, 1, 1.0]), UP_AND_DOWN, None)
    assert path.gross == pytest.approx([0.1, -0.05, 0.0, 0.0, 0.0])
    assert path.turnover.tolist() == [1, 0.5, 0.5, 1, 0]


def test_a_stop_is_reached_by_the_low_of_a_later_bar_and_keeps_the_position_closed():
    close = np.array([100.0, 101.0, 99.0, 103.0, 104.0, 105.0])
    low = [90.0, 99.0, 97.5, 98.0, 103.0, 104.0]  # the entry's own bar does not count
    path = follow(sides(1, 1, 1, 1, 1, 1), ONES, close, stops(low, close + 1))
    assert path.n_stops == 1
    assert path.gross == pytest.approx([0.01, 98.0 / 101.0 - 1.0, 0.0, 0.0, 0.0])
    assert path.position.tolist() == [1, 1, 0, 0, 0]
    assert path.turnover.tolist() == [1, 0, 1, 0, 0]


def test_after_a_stop_another_decision_opens_a_position_again():
    close = np.array([100.0, 97.0, 97.0, 98.0, 99.0, 100.0])
    path = follow(sides(1, 1, 0, 1, 1, 1), ONES, close, stops(close - 0.5, close + 0.5))
    assert path.position.tolist() == [1, 0, 0, 1, 1]
    assert path.n_stops == 1


def test_a_short_is_stopped_by_a_high():
    close = np.array([100.0, 99.0, 101.0, 101.0, 101.0, 101.0])
    high = [120.0, 99.5, 102.5, 101.0, 101.0, 101.0]
    path = follow(sides(-1, -1, -1, -1, -1, -1), ONES, close, stops(close - 1, high))
    assert path.gross[:2] == pytest.approx([0.01, -(102.0 / 99.0 - 1.0)])
    assert path.n_stops == 1


def test_where_the_whole_bar_lies_beyond_the_stop_its_close_is_what_one_gets():
    close = np.array([100.0, 100.0, 90.0, 90.0, 90.0, 90.0])
    path = follow(sides(*[1] * 6), ONES, close, stops(close - 0.1, close + 0.1))
    assert path.gross[1] == pytest.approx(-0.1), "not at 98, which no price of that bar was"


def test_without_a_range_there_is_no_stop():
    close = np.array([100.0, 50.0, 50.0])
    blind = stops([np.nan] * 3, [np.nan] * 3, atr=np.nan)
    path = follow(sides(1, 1, 1), np.ones(3), close, blind)
    assert (path.n_stops, path.gross[0]) == (0, -0.5)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_bars_earn_nothing(n):
    path = follow(sides(*[1] * n), np.ones(n), np.full(n, 7.0), stops([6.0] * n, [8.0] * n))
    assert path.position.size == path.gross.size == path.turnover.size == 0


def bars(n: int, seed: int = 0, **changes) -> TradedBars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    fields = {
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "length_ms": HOUR_MS,
        "open_time_ms": START_MS + np.arange(n) * HOUR_MS,
        "high": close * (1 + rng.uniform(0, 0.01, n)),
        "low": close * (1 - rng.uniform(0, 0.01, n)),
        "close": close,
        "side": rng.integers(-1, 2, n).astype(np.int8),
        "size_multiplier": np.ones(n),
        "stop_atr": np.full(n, 2.0),
        "regime": np.arange(n) % 3,
        "regimes": ("high", "low", "mid"),
        "host_side": rng.integers(-1, 2, n).astype(np.int8),
        "has_host_signal": np.ones(n, dtype=bool),
        "in_window": np.ones(n, dtype=bool),
    }
    return TradedBars(**{**fields, **changes})


def test_the_true_range_spans_the_close_before():
    some = bars(20)
    expected = [
        max(some.high[at], some.close[at - 1]) - min(some.low[at], some.close[at - 1])
        for at in range(2, 16)
    ]
    ranges = average_true_range(some)
    assert np.isnan(ranges[:14]).all()
    assert ranges[15] == pytest.approx(np.mean(expected))


def test_a_missing_bar_leaves_fourteen_bars_without_a_range():
    whole = bars(60)
    opened = whole.open_time_ms.copy()
    opened[30:] += HOUR_MS
    ranges = average_true_range(bars(60, open_time_ms=opened))
    assert np.isnan(ranges[30:44]).all()
    assert np.isfinite(ranges[44])
    assert np.array_equal(ranges[14:30], average_true_range(whole)[14:30])
