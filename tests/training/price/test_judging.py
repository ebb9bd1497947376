"""Figures of price forecasts, against scikit-learn's and by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tests.support.price_markets import HOUR_MS, bars_at, market_of
from training.price.judging import judge
from training.price.rows import PriceRows, price_rows


@pytest.fixture(scope="module")
def rows() -> PriceRows:
    return price_rows(market_of(2_000), window=5, horizon=1)


def test_the_figures_of_prices_are_those_of_scikit_learn(rows: PriceRows) -> None:
    said = 0.01 * np.random.default_rng(2).standard_normal(rows.test.size)
    came = rows.forward_return[rows.test]
    close = rows.close[rows.test]
    later, forecast = close * np.exp(came), close * np.exp(said)
    found = judge(rows, said, HOUR_MS)
    assert found.n == rows.test.size
    assert found.mae == pytest.approx(mean_absolute_error(later, forecast))
    assert found.rmse == pytest.approx(root_mean_squared_error(later, forecast))
    assert found.r2_price == pytest.approx(r2_score(later, forecast))
    assert found.r2_return == pytest.approx(r2_score(came, said))
    ratio = root_mean_squared_error(later, forecast) / root_mean_squared_error(later, close)
    assert found.rmse_ratio == pytest.approx(ratio)
    assert found.rmse_ratio_low < ratio < found.rmse_ratio_high
    assert found.hit_rate == pytest.approx(np.mean((said > 0) == (came > 0)))
    assert found.hit_rate_low < found.hit_rate < found.hit_rate_high


def test_no_change_has_a_fine_r2_of_prices_and_none_of_returns(rows: PriceRows) -> None:
    found = judge(rows, np.zeros(rows.test.size), HOUR_MS)
    assert found.r2_price > 0.9
    assert found.r2_return <= 0.0
    assert math.isnan(found.rmse_ratio)
    assert (found.n_directions, math.isnan(found.hit_rate)) == (0, True)


def test_whoever_knows_the_return_half_is_better_beyond_luck(rows: PriceRows) -> None:
    found = judge(rows, 0.5 * rows.forward_return[rows.test], HOUR_MS)
    assert found.rmse_ratio_high < 0.6
    assert found.p_value_no_better < 1e-6
    assert found.r2_return == pytest.approx(0.75, abs=0.01)


def test_rows_without_a_direction_are_neither_right_nor_wrong() -> None:
    steps = np.where(np.arange(2_000) % 3 == 0, 0.0, 0.01 * np.random.default_rng(3).normal(size=2_000))
    rows = price_rows(bars_at(np.exp(np.cumsum(steps)), np.random.default_rng(4)), 5, horizon=1)
    came = rows.forward_return[rows.test]
    said = came.copy()
    said[::2] = 0.0
    said[1] *= -1.0
    found = judge(rows, said, HOUR_MS)
    n_directions = int(np.count_nonzero(came[1::2]))
    assert 0 < n_directions < came.size / 2
    assert found.n_directions == n_directions
    assert found.hit_rate == pytest.approx(1.0 - float(came[1] != 0.0) / n_directions)
