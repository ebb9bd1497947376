"""Thousands of points as a few hundred, with every hole and every extreme."""

import numpy as np
import pytest

from shadow.page.thinning import thinned


def test_few_points_all_stay():
    kept = thinned(np.arange(5), np.array([1.0, 2.0, 3.0, 2.0, 1.0]))
    assert kept.at.tolist() == [0, 1, 2, 3, 4]
    assert kept.value.tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]
    assert kept.run.tolist() == [0, 0, 0, 0, 0]


def test_what_is_missing_and_what_is_not_finite_ends_a_run():
    at = np.array([0, 1, 3, 4, 5, 6])
    kept = thinned(at, np.array([1.0, 1.0, 1.0, np.nan, 1.0, 1.0]))
    assert kept.at.tolist() == [0, 1, 3, 5, 6]
    assert kept.run.tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("n", [601, 5_000, 100_000])
def test_many_points_become_few_and_keep_each_extreme(n):
    value = np.random.default_rng(n).normal(size=n)
    spike, dip = n // 3, n // 2
    value[spike], value[dip] = 50.0, -50.0
    kept = thinned(np.arange(n), value)
    assert kept.at.size <= 600
    assert (np.diff(kept.at) > 0).all()
    assert {spike, dip} <= set(kept.at.tolist())
    assert (kept.value == value[kept.at]).all()


def test_a_hole_of_one_bar_shows_among_a_hundred_thousand():
    at = np.delete(np.arange(100_000), 70_001)
    kept = thinned(at, np.zeros(at.size))
    assert kept.run.tolist() == (kept.at > 70_001).astype(int).tolist()


def test_nothing_stays_nothing():
    kept = thinned(np.arange(3), np.full(3, np.nan))
    assert kept.at.size == kept.value.size == kept.run.size == 0
