"""What does each member add?"""

import numpy as np

from shadow.contributions import contributions

N = 3000


def log_odds_to_p(x):
    return 1 / (1 + np.exp(-x))


def test_a_member_that_knows_something_adds_and_noise_takes_away():
    rng = np.random.default_rng(1)
    known = rng.standard_normal(N)
    up = rng.random(N) < log_odds_to_p(known)
    members = {
        "knows": log_odds_to_p(known + 0.3 * rng.standard_normal(N)),
        "knows_too": log_odds_to_p(known + 0.3 * rng.standard_normal(N)),
        "noise": log_odds_to_p(2 * rng.standard_normal(N)),
    }
    found = contributions(members, up, 1, np.arange(N))
    assert found["knows"].gain_low > 0
    assert found["noise"].gain_high < 0
    assert found["knows"].auc_low > 0.65
    assert found["noise"].auc_low < 0.5 < found["noise"].auc_high


def test_only_bars_on_which_all_answered_count():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.4, 0.6, (2, 400))
    a[:50] = np.nan
    b[50:70] = np.nan
    found = contributions({"a": a, "b": b}, rng.random(400) < 0.5, 1, np.arange(400))
    assert {one.n for one in found.values()} == {330}


def test_one_alone_has_nobody_to_be_compared_with():
    rng = np.random.default_rng(3)
    [alone] = contributions({"a": rng.random(400)}, rng.random(400) < 0.5, 1, np.arange(400)).values()
    assert np.isnan(alone.gain)
    assert alone.reason == "there is no other member"
    assert np.isfinite(alone.auc)


def test_certainties_do_not_break_the_average():
    rng = np.random.default_rng(4)
    sure = rng.integers(0, 2, 400).astype(float)
    found = contributions(
        {"sure": sure, "other": rng.random(400)}, rng.random(400) < 0.5, 1, np.arange(400)
    )
    assert np.isfinite([one.gain for one in found.values()]).all()
