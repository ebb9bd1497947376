"""What would have been earned, in every way, and after costs."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow.counterfactual import Costs, trade
from tests.shadow.test_positions import bars
from tests.support.records import HOUR_MS

FREE = Costs(fee_bps=0.0, slippage_bps=0.0)


def test_the_ways_are_named_and_nothing_earns_nothing():
    trading = trade([bars(400)], Costs(), n_trials=3)
    assert list(trading.strategies) == ["ensemble", "host", "both", "neither", "buy_and_hold"]
    nothing = trading.strategies["neither"]
    assert set(nothing.equity) == {1.0}
    assert (nothing.total_return, nothing.costs, nothing.n_trades) == (0.0, 0.0, 0)
    assert (trading.n_trials, trading.fee_bps, trading.slippage_bps) == (3, 10.0, 5.0)


def test_a_host_that_told_nothing_is_left_out():
    silent = bars(400, has_host_signal=np.zeros(400, dtype=bool))
    assert list(trade([silent], Costs(), 1).strategies) == ["ensemble", "neither", "buy_and_hold"]


def test_buy_and_hold_is_the_price_less_its_entry_and_exit():
    some = bars(300)
    held = trade([some], FREE, 1).strategies["buy_and_hold"]
    assert held.total_return == pytest.approx(some.close[-1] / some.close[0] - 1.0)
    assert held.exposure == 1.0
    paid = trade([some], Costs(), 1).strategies["buy_and_hold"]
    assert paid.costs == pytest.approx(2 * 0.0015)
    drawdown = 1 - some.close / np.maximum.accumulate(some.close)
    assert held.max_drawdown == pytest.approx(drawdown.max())


def test_both_trade_only_where_they_agree():
    n = 200
    side = np.array([1, 1, -1, 0] * 50, dtype=np.int8)
    host = np.array([1, -1, -1, 1] * 50, dtype=np.int8)
    still = bars(n, side=side, host_side=host, stop_atr=np.zeros(n))
    trading = trade([still], FREE, 1)
    assert trading.strategies["both"].exposure == pytest.approx(0.5, abs=0.01)
    assert trading.strategies["ensemble"].exposure == pytest.approx(0.75, abs=0.01)


def test_symbols_have_equal_shares():
    one, other = bars(300, seed=1), bars(300, seed=2, symbol="ETH/USDT")
    trading = trade([one, other], FREE, 1)
    steps = np.stack([np.diff(a.close) / a.close[:-1] for a in (one, other)]).mean(axis=0)
    expected = np.prod(1 + steps) - 1
    assert trading.strategies["buy_and_hold"].total_return == pytest.approx(expected)
    assert set(trading.by_symbol) == {"BTC/USDT", "ETH/USDT"}


def test_slices_add_up_to_the_whole():
    some = [bars(500, seed=1), bars(500, seed=2, symbol="ETH/USDT")]
    trading = trade(some, Costs(), 1)
    sums = [
        sum(one.total_return for one in part.values())
        for part in (trading.by_symbol, trading.by_hour, trading.by_regime)
    ]
    assert sums[0] == pytest.approx(sums[1]) == pytest.approx(sums[2])
    assert sum(one.n_bars for one in trading.by_hour.values()) == trading.n_bars == 998
    assert list(trading.by_hour) == [f"{hour:02d}" for hour in range(24)]


def test_a_hole_in_the_bars_is_held_through():
    some = bars(100, side=np.ones(100, dtype=np.int8), stop_atr=np.zeros(100))
    opened = some.open_time_ms.copy()
    opened[50:] += 7 * HOUR_MS
    holed = trade([dataclasses.replace(some, open_time_ms=opened)], FREE, 1).strategies["ensemble"]
    assert holed.total_return == pytest.approx(some.close[-1] / some.close[0] - 1.0)


def test_bars_before_the_window_lend_their_ranges_only():
    n = 120
    some = bars(n, in_window=np.arange(n) >= 40, side=np.ones(n, dtype=np.int8))
    trading = trade([some], FREE, 1)
    assert trading.n_bars == n - 41
    assert trading.n_unstopped == 0
    assert trade([bars(n, side=np.ones(n, dtype=np.int8))], FREE, 1).n_unstopped > 0


def test_equity_has_few_points_its_ends_and_its_deepest_fall():
    some = bars(3000)
    strategy = trade([some], Costs(), 1).strategies["ensemble"]
    trading = trade([some], Costs(), 1)
    assert len(strategy.equity) == len(trading.time_ms) <= 500
    assert strategy.equity[0] == 1.0
    assert strategy.equity[-1] == pytest.approx(1 + strategy.total_return)
    equity = np.array(strategy.equity)
    fall = (1 - equity / np.maximum.accumulate(equity)).max()
    assert fall == pytest.approx(strategy.max_drawdown)
    assert trading.time_ms == sorted(trading.time_ms)


@pytest.mark.parametrize("series", [[], [bars(0)], [bars(1)]])
def test_nothing_to_trade_is_no_error(series):
    trading = trade(series, Costs(), 1)
    assert trading.n_bars == 0
    assert trading.strategies["ensemble"].total_return == 0.0
    assert np.isnan(trading.strategies["ensemble"].sharpe)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 300.0))
def test_costs_make_nothing_better(seed, fee):
    some = [bars(150, seed=seed)]
    free, paid = trade(some, FREE, 1), trade(some, Costs(fee_bps=fee), 1)
    for name, one in free.strategies.items():
        assert paid.strategies[name].total_return <= one.total_return + 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 140))
def test_later_bars_change_nothing_before_them(seed, n):
    """But for the end of the last position, which is paid for."""
    whole = bars(150, seed=seed)
    arrays = {name: value for name, value in vars(whole).items() if isinstance(value, np.ndarray)}
    early = dataclasses.replace(whole, **{name: value[:n] for name, value in arrays.items()})
    first, both = (trade([part], FREE, 1).strategies["ensemble"].equity for part in (early, whole))
    assert first == pytest.approx(both[:n])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 1000.0))
def test_the_scale_of_prices_does_not_matter(seed, scale):
    some = bars(150, seed=seed)
    scaled = dataclasses.replace(
        some, high=some.high * scale, low=some.low * scale, close=some.close * scale
    )
    first, second = trade([some], Costs(), 1), trade([scaled], Costs(), 1)
    for name, one in first.strategies.items():
        assert second.strategies[name].equity == pytest.approx(one.equity)
