"""Is the chance that the report's last line tells the chance that it is?"""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from shadow.statistics import auc_interval
from shadow.statistics.ranking import _auc_influence
from tests.support.without_skill import HORIZONS, without_skill


@pytest.mark.parametrize("horizon", HORIZONS)
def test_without_skill_luck_is_uniform_and_that_of_independent_rows_is_not(horizon):
    rng = np.random.default_rng(1000 + horizon)
    told, naive = [], []
    for _ in range(400):
        scores, forward = without_skill(rng, 2000, horizon)
        up = forward > 0
        told.append(auc_interval(scores, up, horizon).p_value_no_skill)
        area, influence = _auc_influence(scores, up)
        naive.append(norm.sf((area - 0.5) * 2000 / (influence @ influence) ** 0.5))
    assert kstest(told, "uniform").pvalue > 0.01
    if horizon > 1:
        assert kstest(naive, "uniform").pvalue < 1e-4
