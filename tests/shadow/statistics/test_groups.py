"""Fifths and the reliability curve, with intervals for overlapping rows."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from shadow.statistics import quantiles, reliability_curve
from tests.support.without_skill import HORIZONS, probabilities, without_skill


def test_fifths_are_of_one_size_and_in_order_of_p():
    rng = np.random.default_rng(1)
    p, forward = rng.random(1003), rng.standard_normal(1003)
    fifths = quantiles(p, forward, forward > 0, 1)
    assert [one.n for one in fifths] == [200, 201, 200, 201, 201]
    assert sorted(one.mean_p for one in fifths) == [one.mean_p for one in fifths]
    order = np.argsort(p)[:200]
    assert fifths[0].mean_return == pytest.approx(forward[order].mean())
    assert fifths[0].up_share == pytest.approx((forward[order] > 0).mean())


def test_equal_probabilities_stay_together():
    p = np.repeat([0.4, 0.5, 0.6], [10, 80, 10])
    fifths = quantiles(p, np.arange(100.0), np.ones(100), 1)
    assert [one.n for one in fifths] == [10, 90], "what can not be told apart is not"
    assert fifths[0].mean_p == pytest.approx(0.4)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_interval_of_a_fifth_covers_where_the_textbook_one_does_not(horizon):
    rng = np.random.default_rng(horizon)
    covered, textbook, n = 0, 0, 0
    for _ in range(100):
        scores, forward = without_skill(rng, 3000, horizon, persistence=0.97)
        for fifth in quantiles(scores, forward, forward > 0, horizon):
            n += 1
            covered += fifth.low <= 0 <= fifth.high
            textbook += abs(fifth.mean_return) < 1.96 * (horizon / fifth.n) ** 0.5
    assert covered / n >= 0.89
    if horizon > 1:
        assert textbook / n < 0.80


def test_the_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.2, 0.8, 2000)
    up = rng.random(2000) < p
    curve = reliability_curve(p, up, 1)
    expected_up, expected_p = calibration_curve(up, p, n_bins=10, strategy="quantile")
    assert np.allclose([one.up_share for one in curve], expected_up)
    assert np.allclose([one.mean_p for one in curve], expected_p)
    assert sum(one.n for one in curve) == 2000


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_interval_of_a_bin_covers(horizon):
    rng = np.random.default_rng(50 + horizon)
    covered, n = 0, 0
    for _ in range(100):
        scores, forward = without_skill(rng, 3000, horizon, persistence=0.95)
        for one in reliability_curve(probabilities(scores), forward > 0, horizon):
            n += 1
            covered += one.low <= 0.5 <= one.high
    assert n > 100
    assert covered / n >= 0.89


def test_where_bars_are_too_few_the_interval_is_not_known_and_the_share_is():
    p = np.linspace(0.41, 0.49, 30)
    [one] = reliability_curve(p, np.arange(30) % 2, 5, n_bins=1)
    assert one.up_share == 0.5
    assert np.isnan([one.low, one.high]).all()


@pytest.mark.parametrize("broken", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_has_no_curve(broken):
    p = np.full(100, 0.5)
    p[3] = broken
    assert reliability_curve(p, np.arange(100) % 2, 1) == ()
    if np.isnan(broken):
        assert quantiles(p, np.ones(100), np.ones(100), 1) == ()
