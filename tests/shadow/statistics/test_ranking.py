"""Figures and intervals for overlapping labels, against independent computations and by simulation."""

import math

import numpy as np
import pytest
from arch.bootstrap import MovingBlockBootstrap
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import brier_score_loss, roc_auc_score

from shadow import statistics
from shadow.statistics import (
    auc,
    auc_difference,
    auc_interval,
    brier,
    effective_n,
    mid_ranks,
    overlap,
    rank_ic,
    ranking,
)
from tests.support.without_skill import without_skill


def _with_ties(rng, n, step):
    return np.round(rng.random(n) / step) * step, (rng.random(n) < 0.4).astype(float)


@pytest.mark.parametrize("step", [1e-9, 0.05, 0.5])
def test_the_auc_is_that_of_scikit_learn_with_and_without_ties(step):
    p, up = _with_ties(np.random.default_rng(1), 500, step)
    expected = pytest.approx(roc_auc_score(up, p), abs=1e-12)
    assert auc(p, up) == expected
    assert auc_interval(p, up, 1).estimate == expected


def test_mid_ranks_are_those_of_scipy():
    values = np.random.default_rng(2).integers(0, 20, 300).astype(float)
    assert np.array_equal(mid_ranks(values), rankdata(values))


@pytest.mark.parametrize("step", [1e-9, 0.1])
def test_the_influence_values_are_delongs_by_their_definition(step):
    p, up = _with_ties(np.random.default_rng(3), 60, step)
    ups, downs = p[up == 1], p[up == 0]
    wins = (ups[:, None] > downs[None, :]) + 0.5 * (ups[:, None] == downs[None, :])
    area, influence = ranking._auc_influence(p, up == 1)
    delong = wins.mean(1).var() / ups.size + wins.mean(0).var() / downs.size
    assert area == pytest.approx(wins.mean())
    assert influence @ influence / p.size**2 == pytest.approx(delong, rel=1e-12)
    assert influence.sum() == pytest.approx(0.0, abs=1e-9)


def test_the_long_run_variance_is_newey_wests_by_its_definition():
    rng = np.random.default_rng(4)
    influence, horizon = rng.standard_normal(300), 3
    influence -= influence.mean()
    n_lags = statistics.LAGS_PER_OVERLAP * horizon
    expected = sum(
        max(0.0, 1 - abs(i - j) / (n_lags + 1)) * influence[i] * influence[j]
        for i in range(300)
        for j in range(300)
    )
    share = n_lags / 300
    variance, freedom = overlap._long_run_sum(influence, np.arange(300), horizon)
    assert variance * (1 - share + share**2 / 3) == pytest.approx(expected)
    assert freedom == pytest.approx(1.5 / share)


@pytest.mark.parametrize("horizon", [1, 5, 12, 24])
def test_the_auc_interval_covers_where_the_textbook_interval_does_not(horizon):
    rng = np.random.default_rng(horizon)
    n_runs, covered, textbook, called = 250, 0, 0, 0
    for _ in range(n_runs):
        scores, forward = without_skill(rng, 2000, horizon, persistence=0.95)
        area = auc_interval(scores, forward > 0, horizon)
        covered += area.low <= 0.5 <= area.high
        called += area.p_value_no_skill < 0.05
        _, influence = ranking._auc_influence(scores, forward > 0)
        textbook += abs(area.estimate - 0.5) < 1.96 * math.sqrt(influence @ influence) / 2000
    assert 0.89 <= covered / n_runs <= 0.98
    assert 0.02 <= called / n_runs <= 0.11
    if horizon > 1:
        assert textbook / n_runs < 0.80


def test_the_interval_still_covers_on_the_fewest_bars_that_it_accepts():
    rng, horizon = np.random.default_rng(5), 5
    n_bars = statistics.MIN_BARS_PER_LAG * statistics.LAGS_PER_OVERLAP * horizon
    runs = [without_skill(rng, n_bars, horizon) for _ in range(500)]
    areas = [auc_interval(scores, forward > 0, horizon) for scores, forward in runs]
    told = [area for area in areas if area.reason is None]
    assert len(told) > 300
    assert 0.88 < np.mean([area.low <= 0.5 <= area.high for area in told]) < 0.98


def test_symbols_that_move_together_do_not_make_the_interval_narrower():
    rng = np.random.default_rng(6)
    scores, forward = without_skill(rng, 1500, 5)
    alone = auc_interval(scores, forward > 0, 5)
    eight_times = [np.tile(column, 8) for column in (scores, forward > 0, np.arange(1500))]
    pooled = auc_interval(*eight_times[:2], 5, time_index=eight_times[2])
    assert pooled.estimate == pytest.approx(alone.estimate)
    assert pooled.standard_error == pytest.approx(alone.standard_error)
    assert pooled.n_effective == pytest.approx(alone.n_effective)


def test_the_order_of_the_rows_does_not_matter_where_their_time_is_given():
    rng = np.random.default_rng(7)
    scores, forward = without_skill(rng, 600, 5)
    shuffled = rng.permutation(600)
    in_order = auc_interval(scores, forward > 0, 5)
    out_of_order = auc_interval(
        scores[shuffled], forward[shuffled] > 0, 5, time_index=shuffled + 480_000
    )
    assert out_of_order.standard_error == pytest.approx(in_order.standard_error)


def test_bars_that_lie_apart_do_not_count_as_neighbours():
    scores, forward = without_skill(np.random.default_rng(8), 600, 12)
    near = auc_interval(scores, forward > 0, 12)
    apart = auc_interval(scores, forward > 0, 12, time_index=np.arange(600) * 100)
    assert apart.standard_error < near.standard_error


@pytest.mark.parametrize("horizon", [5, 24])
def test_the_moving_block_bootstrap_agrees(horizon):
    scores, forward = without_skill(np.random.default_rng(9), 1500, horizon)
    bootstrap = MovingBlockBootstrap(4 * horizon, scores, (forward > 0).astype(float), seed=10)
    resampled = bootstrap.apply(auc, 400).std()
    assert auc_interval(scores, forward > 0, horizon).standard_error == pytest.approx(
        resampled, rel=0.3
    )


def test_skill_is_found_and_its_opposite_is_not():
    rng = np.random.default_rng(11)
    forward = rng.standard_normal(2000)
    p = forward + 3.0 * rng.standard_normal(2000)
    assert auc_interval(p, forward > 0, 1).p_value_no_skill < 1e-6
    assert auc_interval(-p, forward > 0, 1).p_value_no_skill > 1 - 1e-6
    assert rank_ic(p, forward, 1).t > 5
    assert rank_ic(-p, forward, 1).p_value_no_skill > 1 - 1e-6


def test_the_rank_ic_is_spearmans():
    rng = np.random.default_rng(12)
    p, forward = np.round(rng.random(400), 2), rng.standard_normal(400)
    assert rank_ic(p, forward, 5).estimate == pytest.approx(spearmanr(p, forward).statistic)


@pytest.mark.parametrize("horizon", [1, 12])
def test_the_rank_ic_of_a_modelwithout_skill_is_rarely_significant(horizon):
    rng = np.random.default_rng(13 + horizon)
    runs = [rank_ic(*without_skill(rng, 1000, horizon), horizon) for _ in range(250)]
    assert 0.01 <= np.mean([run.p_value_no_skill < 0.05 for run in runs]) <= 0.11


def test_the_effective_n_of_independent_rows_is_near_n_and_of_overlapping_ones_far_below():
    rng = np.random.default_rng(14)
    assert effective_n(rng.standard_normal(3000), 1) > 2000
    overlapping = np.convolve(rng.standard_normal(3011), np.ones(12), "valid")
    assert 100 < effective_n(overlapping, 12) < 600


def test_the_brier_score_and_its_parts():
    rng = np.random.default_rng(15)
    p = rng.random(4000)
    up = (rng.random(4000) < 0.5 + 0.3 * (p - 0.5)).astype(float)
    parts = brier(p, up)
    assert parts.score == pytest.approx(brier_score_loss(up, p))
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert whole == pytest.approx(parts.score)
    assert parts.uncertainty == pytest.approx(up.mean() * (1 - up.mean()))
    assert abs(parts.within_bins) < 0.01


def test_a_constant_one_half_has_a_brier_of_one_quarter_and_all_else_follows():
    parts = brier(np.full(100, 0.5), np.tile([0.0, 1.0], 50))
    assert (parts.score, parts.reliability, parts.resolution, parts.within_bins) == (
        0.25,
        0.0,
        0.0,
        0.0,
    )


def test_brier_tells_why_it_has_no_figure():
    assert brier([], []).reason == "no rows"
    for broken in (1.5, -0.1, math.nan):
        parts = brier([0.5, broken], [0, 1])
        assert math.isnan(parts.score)
        assert "probability" in parts.reason


_RISING = np.arange(100.0)
_TURNS = np.tile([0.0, 1.0], 50)


@pytest.mark.parametrize(
    ("p", "up", "reason"),
    [
        (_RISING, np.zeros(100), "0 up and 100 down"),
        (_RISING, np.ones(100), "100 up and 0 down"),
        (_RISING, (_RISING > 90).astype(float), "9 up and 91 down"),
        (_RISING[:39], _TURNS[:39], "39 bars with an outcome are too few, 40 are needed"),
        (np.array([]), np.array([]), "too few"),
        (np.where(_RISING == 7, np.nan, _RISING), _TURNS, "1 of 100 rows are not finite"),
        (np.where(_RISING == 7, np.inf, _RISING), _TURNS, "1 of 100 rows are not finite"),
        (np.full(100, 0.5), _TURNS, "all the same"),
        (_RISING, (_RISING >= 50).astype(float), "no spread"),
    ],
)
def test_what_can_not_be_judged_has_a_reason_and_passes_no_limit(p, up, reason):
    area = auc_interval(p, up, 5)
    assert reason in area.reason
    assert area.n == len(p)
    figures = (area.estimate, area.low, area.high, area.standard_error, area.p_value_no_skill, area.t)
    assert all(math.isnan(figure) for figure in figures)


def test_a_rank_ic_that_can_not_be_judged_has_a_reason():
    assert "not finite" in rank_ic(_RISING, np.where(_RISING == 7, np.nan, _RISING), 5).reason
    assert "all the same" in rank_ic(_RISING, np.zeros(100), 5).reason
    assert "too few" in rank_ic(_RISING, _TURNS, 24).reason
    assert math.isnan(effective_n(_TURNS, 24))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auc_interval(_RISING, _TURNS[:-1], 5), "one length"),
        (lambda: auc_interval(_RISING, _TURNS, 5, time_index=_RISING[:-1]), "one length"),
        (lambda: auc_interval(_RISING, _TURNS * 2, 5), "labels 0 and 1"),
        (lambda: auc_interval(_RISING, _TURNS * np.nan, 5), "labels 0 and 1"),
        (lambda: auc_interval(_RISING, _TURNS, 0), "at least 1 bar"),
        (lambda: auc_interval(_RISING, _TURNS, 5, time_index=_RISING * 3_600_000), "counts bars"),
        (lambda: brier(_RISING, _TURNS * 3), "labels 0 and 1"),
    ],
)
def test_a_wrong_call_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_auc_alone_is_nan_where_one_class_is_absent():
    assert math.isnan(auc(_RISING, np.zeros(100)))
    assert math.isnan(auc([], []))
    assert math.isnan(auc([0.1, math.nan], [0, 1]))


def test_the_difference_of_two_aucs_is_that_of_the_pair():
    random = np.random.default_rng(3)
    up = (random.uniform(size=4_000) < 0.5).astype(float)
    common = random.normal(size=4_000)
    better, worse = up + 2.0 * common, 0.5 * up + 2.0 * common
    pair = auc_difference(better, worse, up, 5)
    assert pair.estimate == pytest.approx(auc(better, up) - auc(worse, up), abs=1e-12)
    # What both have in common does not count: each alone is less certain than their difference.
    assert pair.standard_error < 0.6 * auc_interval(better, up, 5).standard_error
    assert pair.low > 0.0


def test_without_a_difference_the_interval_holds_none_as_often_as_it_says():
    random, held = np.random.default_rng(4), 0
    for _ in range(200):
        moves = random.normal(size=1_200)
        ahead = np.convolve(moves, np.ones(5), mode="full")[4:1_200]
        up = (ahead > 0).astype(float)
        one, other = random.normal(size=(2, up.size))
        pair = auc_difference(one, other, up, 5)
        held += pair.low <= 0.0 <= pair.high
    assert 180 <= held <= 199


def test_a_score_against_itself_shows_no_spread():
    up = np.tile([0.0, 1.0, 1.0, 0.0], 100)
    score = np.random.default_rng(1).normal(size=400)
    assert auc_difference(score, score, up, 1).reason is not None
