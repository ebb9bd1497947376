"""Whether a forecast is better than a plain one, and when luck would do."""

import numpy as np
import pytest
from scipy.signal import lfilter

from shadow.statistics import rmse_skill


def test_the_skill_is_the_share_by_which_the_error_is_smaller() -> None:
    plain = np.random.default_rng(1).standard_normal(500)
    found = rmse_skill(0.8 * plain + 1e-3 * plain**2, plain, 1)
    errors = 0.8 * plain + 1e-3 * plain**2
    assert found.estimate == pytest.approx(1.0 - np.sqrt(np.mean(errors**2) / np.mean(plain**2)))
    assert found.low < found.estimate < found.high
    assert found.p_value_no_skill < 1e-6


@pytest.mark.parametrize("horizon", [1, 12])
def test_the_standard_error_is_that_of_many_samples(horizon: int) -> None:
    """Errors of forecasts over `horizon` bars overlap; the spread over samples knows the truth."""
    random, found = np.random.default_rng(2), []
    for _ in range(300):
        steps = lfilter(np.ones(horizon), 1.0, random.standard_normal((2, 2_000 + horizon)))
        plain = steps[0, horizon:]
        found.append(rmse_skill(0.9 * plain + 0.4 * steps[1, horizon:], plain, horizon))
    spread = np.std([one.estimate for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("horizon", [1, 12])
def test_the_interval_of_two_forecasts_of_one_worth_holds_0(horizon: int) -> None:
    random, n_covered = np.random.default_rng(3), 0
    for _ in range(300):
        steps = lfilter(np.ones(horizon), 1.0, random.standard_normal((2, 2_000 + horizon)))
        shared = steps[:, horizon:]
        found = rmse_skill(shared[0], 0.8 * shared[0] + 0.6 * shared[1], horizon)
        n_covered += found.low <= 0.0 <= found.high
    assert 0.90 <= n_covered / 300 <= 0.985


def test_what_moves_both_errors_does_not_widen_the_interval() -> None:
    random = np.random.default_rng(4)
    plain, own = 10.0 * random.standard_normal((2, 2_000))
    paired = rmse_skill(plain + 0.01 * own, plain, 1)
    apart = rmse_skill(own, plain, 1)
    assert paired.high - paired.low < 0.02 * (apart.high - apart.low)


@pytest.mark.parametrize(
    ("errors", "plain", "why"),
    [
        (np.ones(50), np.ones(50), "all the same"),
        (np.arange(7.0), np.ones(7), "too few"),
        (np.arange(50.0), np.zeros(50), "makes no error"),
        (np.zeros(50), np.arange(50.0), "makes no error"),
        (np.full(50, np.nan), np.ones(50), "not finite"),
    ],
)
def test_what_can_not_be_judged_says_why(errors: np.ndarray, plain: np.ndarray, why: str) -> None:
    found = rmse_skill(errors, plain, 1)
    assert why in str(found.reason)
    assert np.isnan([found.estimate, found.low, found.p_value_no_skill]).all()
