"""Intervals by resampling blocks."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from shadow.statistics import block_bootstrap
from shadow.statistics.bootstrap import mean_block_bars
from tests.support.without_skill import HORIZONS, without_skill


def mean(resamples):
    return resamples.mean(axis=1)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_interval_of_a_mean_of_overlapping_rows_covers_where_single_rows_do_not(horizon):
    rng = np.random.default_rng(horizon)
    covered, singly = 0, 0
    for run in range(100):
        _, forward = without_skill(rng, 2000, horizon)
        low, high = block_bootstrap(forward, mean, horizon, n_resamples=300, seed=run)
        covered += low <= 0 <= high
        rows = forward[rng.integers(0, 2000, (300, 2000))].mean(axis=1)
        singly += np.quantile(rows, 0.025) <= 0 <= np.quantile(rows, 0.975)
    assert covered / 100 >= 0.86
    if horizon > 1:
        assert singly / 100 < 0.80


def test_it_is_the_stationary_bootstrap_of_arch():
    _, forward = without_skill(np.random.default_rng(1), 1500, 5)
    own = block_bootstrap(forward, mean, 5, n_resamples=4000)
    arch = StationaryBootstrap(mean_block_bars(1500, 5), forward, seed=2)
    spread = arch.apply(lambda rows: rows.mean(), 4000).std()
    assert own[1] - own[0] == pytest.approx(2 * 1.96 * spread, rel=0.08)


def test_the_same_seed_gives_the_same_interval_in_whatever_pieces(monkeypatch):
    _, forward = without_skill(np.random.default_rng(2), 800, 5)
    at_once = block_bootstrap(forward, mean, 5, n_resamples=50, seed=7)
    assert block_bootstrap(forward, mean, 5, n_resamples=50, seed=7) == at_once
    assert block_bootstrap(forward, mean, 5, n_resamples=50, seed=8) != at_once


@pytest.mark.parametrize("values", [np.ones(30), np.array([np.nan] * 500), np.empty(0)])
def test_too_few_blocks_or_broken_values_have_no_interval(values):
    assert np.isnan(block_bootstrap(values, mean, 5)).all()
