"""What a price model is shown of a bar, and what it is not."""

from dataclasses import replace

import numpy as np
import pytest

from plugin.candles import CLOSE, OPEN, VOLUME
from plugin.errors import WrongUse
from tests.support.price_markets import HOUR_MS, bars_at, market_of, without_bars
from training.price.rows import price_rows

N_BARS, WINDOW, HORIZON = 400, 10, 3


def test_a_window_holds_log_returns_in_standard_deviations_of_the_training_block() -> None:
    candles = market_of(N_BARS)
    rows = price_rows(candles, WINDOW, HORIZON)
    bars = candles.bars
    logs = np.log(bars[OPEN : CLOSE + 1, 1:]) - np.log(bars[CLOSE, :-1])
    expected = np.vstack([logs, np.diff(np.log1p(bars[VOLUME]))]).T
    learnt_from = expected[: rows.end[rows.train[-1]]]
    expected = (expected - learnt_from.mean(axis=0)) / learnt_from.std(axis=0)
    row = rows.test[5]
    newest = rows.end[row]
    np.testing.assert_allclose(
        rows.windows(np.array([row]))[0],
        expected[newest - WINDOW : newest].clip(-5.0, 5.0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_target_is_the_return_to_the_close_a_horizon_later() -> None:
    candles = market_of(N_BARS)
    rows = price_rows(candles, WINDOW, HORIZON)
    close = candles.bars[CLOSE]
    returns = np.log(close[rows.end + HORIZON] / close[rows.end])
    np.testing.assert_allclose(rows.forward_return, returns)
    np.testing.assert_allclose(rows.targets(rows.test), returns[rows.test] / rows.spread, rtol=1e-6)
    assert rows.targets(rows.train).std() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_array_equal(rows.close, close[rows.end])


def test_no_window_and_no_forecast_steps_over_an_absent_bar() -> None:
    whole = price_rows(market_of(N_BARS), WINDOW, HORIZON)
    holed = price_rows(without_bars(market_of(N_BARS), 200), WINDOW, HORIZON)
    missing = np.setdiff1d(whole.end, holed.end)
    # The close of 200 is what 197 asks for, what 200 begins with and what 201 is measured against.
    np.testing.assert_array_equal(missing, [197, *range(200, 201 + WINDOW)])


def test_later_bars_change_neither_a_window_nor_the_scale() -> None:
    candles = market_of(N_BARS)
    rows = price_rows(candles, WINDOW, HORIZON)
    first_unseen = int(rows.end[rows.test[0]]) + 1
    bars = candles.bars.copy()
    bars[:5, first_unseen:] *= np.linspace(1.5, 3.0, N_BARS - first_unseen)
    changed = price_rows(replace(candles, bars=bars), WINDOW, HORIZON)
    known = np.append(np.concatenate([rows.train, rows.validation]), rows.test[0])
    np.testing.assert_array_equal(rows.windows(known), changed.windows(known))
    assert rows.spread == changed.spread
    assert not np.array_equal(rows.windows(rows.test), changed.windows(rows.test))


def test_the_blocks_are_70_15_and_15_of_100_and_no_label_reaches_into_the_next() -> None:
    rows = price_rows(market_of(N_BARS), WINDOW, HORIZON)
    n_rows = rows.end.size
    shares = [block.size / n_rows for block in (rows.train, rows.validation, rows.test)]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=(HORIZON + 1) / n_rows)
    label_end_ms = rows.known_from_ms + HORIZON * HOUR_MS
    assert label_end_ms[rows.train[-1]] < rows.known_from_ms[rows.validation[0]]
    assert label_end_ms[rows.validation[-1]] < rows.known_from_ms[rows.test[0]]


@pytest.mark.parametrize(("window", "horizon"), [(0, 1), (60, 0), (-1, 1)])
def test_a_window_or_horizon_of_no_bar_is_wrong_use(window: int, horizon: int) -> None:
    with pytest.raises(WrongUse, match="at least one bar"):
        price_rows(market_of(N_BARS), window, horizon)


@pytest.mark.parametrize("n_bars", [2, 12, 24])
def test_too_few_bars_are_wrong_use(n_bars: int) -> None:
    with pytest.raises(WrongUse, match="longer history"):
        price_rows(market_of(n_bars), WINDOW, HORIZON)


def test_bars_that_open_at_the_close_before_can_be_learnt_from() -> None:
    """Some venues make them so: one of the five numbers is always 0 then."""
    candles = market_of(N_BARS)
    bars = candles.bars.copy()
    bars[OPEN, 1:] = bars[CLOSE, :-1]
    rows = price_rows(replace(candles, bars=bars), WINDOW, HORIZON)
    assert np.isfinite(rows.windows(rows.test)).all()
    np.testing.assert_array_equal(rows.windows(rows.test)[:, :, OPEN], 0.0)


def test_a_price_that_never_moves_is_wrong_use() -> None:
    still = bars_at(np.full(N_BARS, 5.0), np.random.default_rng(1))
    with pytest.raises(WrongUse, match="never moves"):
        price_rows(still, WINDOW, HORIZON)
