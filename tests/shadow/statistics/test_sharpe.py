"""How good is the best of many without skill?"""

import numpy as np
import pytest

from shadow.statistics import deflated_sharpe
from tests.support.without_skill import HORIZONS

BARS_PER_YEAR = 8766.0


@pytest.mark.parametrize("n_trials", [1, 10, 100])
def test_the_best_of_many_without_skill_is_believed_in_one_of_twenty_runs_at_most(n_trials):
    rng = np.random.default_rng(n_trials)
    n_runs, believed, naive = 300, 0, 0
    for _ in range(n_runs):
        trials = rng.standard_t(5, (n_trials, 500))
        best = trials[np.argmax(trials.mean(axis=1) / trials.std(axis=1))]
        believed += deflated_sharpe(best, n_trials, BARS_PER_YEAR).deflated > 0.95
        naive += deflated_sharpe(best, 1, BARS_PER_YEAR).deflated > 0.95
    assert believed / n_runs <= 0.08
    if n_trials > 1:
        assert naive / n_runs > 0.3


@pytest.mark.parametrize("horizon", HORIZONS)
def test_returns_that_depend_on_each_other_count_as_fewer(horizon):
    rng = np.random.default_rng(horizon)
    believed = [
        deflated_sharpe(
            np.convolve(rng.standard_normal(2000 + horizon), np.ones(horizon), "valid")[:2000],
            1,
            BARS_PER_YEAR,
            overlap_bars=horizon,
        ).deflated
        > 0.95
        for _ in range(300)
    ]
    assert 0.01 <= np.mean(believed) <= 0.10


def test_skill_is_seen():
    rng = np.random.default_rng(3)
    skilled = deflated_sharpe(0.2 + rng.standard_normal(1000), 20, BARS_PER_YEAR)
    assert skilled.deflated > 0.99
    assert skilled.sharpe == pytest.approx(0.2 * BARS_PER_YEAR**0.5, rel=0.25)


@pytest.mark.parametrize("returns", [np.zeros(500), np.ones(3), np.array([np.nan] * 100), np.empty(0)])
def test_what_has_no_spread_or_too_few_bars_has_no_ratio(returns):
    none = deflated_sharpe(returns, 5, BARS_PER_YEAR)
    assert np.isnan([none.sharpe, none.deflated]).all()
    assert none.reason
