"""Correlations with what came, over time and across symbols."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from shadow.statistics import cross_sectional_ic, ic
from tests.support.without_skill import HORIZONS, without_skill


def test_the_ic_is_pearsons_correlation():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(500)
    y = 0.3 * x + rng.standard_normal(500)
    measured = ic(x, y, 1)
    assert measured.estimate == pytest.approx(pearsonr(x, y).statistic)
    # Of independent normal rows: Fisher's (1 - r^2) / sqrt(n).
    assert measured.standard_error == pytest.approx((1 - measured.estimate**2) / 500**0.5, rel=0.15)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_its_interval_covers_where_the_textbook_interval_does_not(horizon):
    rng = np.random.default_rng(horizon)
    runs = [without_skill(rng, 2000, horizon, persistence=0.95) for _ in range(200)]
    measured = [ic(scores, forward, horizon) for scores, forward in runs]
    covered = np.mean([one.low <= 0 <= one.high for one in measured])
    textbook = np.mean([abs(one.estimate) < 1.96 / 2000**0.5 for one in measured])
    assert 0.90 <= covered <= 0.985
    if horizon > 1:
        assert textbook < 0.80


@pytest.mark.parametrize("horizon", HORIZONS)
def test_across_symbols_the_interval_covers_although_all_move_together(horizon):
    rng = np.random.default_rng(100 + horizon)
    n_bars, n_symbols, n_runs, covered, pooled = 400, 10, 100, 0, 0
    bars = np.repeat(np.arange(n_bars), n_symbols)
    for _ in range(n_runs):
        columns = [without_skill(rng, n_bars, horizon) for _ in range(n_symbols)]
        _, market = without_skill(rng, n_bars, horizon)
        p = np.stack([scores for scores, _ in columns], axis=1).ravel()
        forward = np.stack([5 * market + own for _, own in columns], axis=1).ravel()
        measured = cross_sectional_ic(p, forward, horizon, bars)
        covered += measured.low <= 0 <= measured.high
        pooled += abs(spearmanr(p, forward).statistic) < 1.96 / p.size**0.5
    assert covered / n_runs >= 0.88
    if horizon > 1:
        assert pooled / n_runs < 0.85


def test_across_symbols_it_is_the_mean_of_each_bars_rank_correlation():
    rng = np.random.default_rng(2)
    p, forward = rng.standard_normal((60, 8)), rng.standard_normal((60, 8))
    expected = np.mean([spearmanr(a, b).statistic for a, b in zip(p, forward, strict=True)])
    bars = np.repeat(np.arange(60), 8)
    shuffled = rng.permutation(480)
    measured = cross_sectional_ic(p.ravel()[shuffled], forward.ravel()[shuffled], 1, bars[shuffled])
    assert measured.estimate == pytest.approx(expected)
    assert measured.n == 60


def test_bars_with_few_symbols_or_broken_values_are_left_out():
    rng = np.random.default_rng(3)
    bars = np.repeat(np.arange(40), 6)
    p, forward = rng.standard_normal(240), rng.standard_normal(240)
    p[0:3] = np.nan
    forward[6:9] = np.inf
    assert cross_sectional_ic(p, forward, 1, bars).n == 38


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_gives_no_figure(broken):
    rng = np.random.default_rng(4)
    p, forward = rng.standard_normal(100), rng.standard_normal(100)
    p[7] = broken
    measured = ic(p, forward, 1)
    assert np.isnan(measured.estimate)
    assert measured.reason == "1 of 100 rows are not finite"


def test_too_few_bars_give_no_figure():
    assert np.isnan(ic(np.arange(30.0), np.arange(30.0) ** 2, 5).estimate)
