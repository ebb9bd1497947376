"""The mean of values that overlap, with an interval that allows for it."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import ttest_1samp

from shadow.statistics import effective_n, mean_interval


def test_of_independent_values_it_is_about_the_interval_of_students_t() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, 4_000)
    found = mean_interval(values, 1)
    expected = ttest_1samp(values, 0.0)
    assert found.estimate == pytest.approx(values.mean())
    assert (found.n, found.null, found.reason) == (4_000, 0.0, None)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)


@pytest.mark.parametrize("horizon", [5, 24])
def test_the_interval_of_overlapping_values_covers_their_mean(horizon: int) -> None:
    random, n_covered, n_naive = np.random.default_rng(2), 0, 0
    for _ in range(200):
        steps = random.standard_normal(3_000 + horizon)
        values = lfilter(np.ones(horizon), 1.0, steps)[horizon:]
        found = mean_interval(values, horizon)
        n_covered += found.low <= 0.0 <= found.high
        n_naive += abs(values.mean()) <= 1.96 * values.std() / math.sqrt(values.size)
    assert n_covered >= 180
    assert n_naive < 140, "else the test shows nothing"


def test_symbols_that_move_together_are_not_independent() -> None:
    values = np.random.default_rng(3).standard_normal(1_000)
    bars = np.arange(1_000)
    alone = mean_interval(values, 1, bars)
    twice = mean_interval(np.repeat(values, 2), 1, np.repeat(bars, 2))
    assert twice.standard_error == pytest.approx(alone.standard_error)
    assert twice.n_effective == pytest.approx(effective_n(np.repeat(values, 2), 1, np.repeat(bars, 2)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.arange(39.0), "39 bars with an outcome are too few, 40 are needed"),
        (np.zeros(100), "the values are all the same"),
        (np.array([*range(99), math.nan]), "1 of 100 rows are not finite"),
        (np.array([]), "0 bars"),
    ],
)
def test_what_can_not_be_judged_has_a_reason_and_no_figure(values: np.ndarray, why: str) -> None:
    found = mean_interval(values, 5)
    assert why in str(found.reason)
    assert math.isnan(found.high)
