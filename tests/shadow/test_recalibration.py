"""How probabilities are read again: near what was said, within bounds, and never out of thin air."""

import math

import msgspec
import numpy as np
import pytest

from shadow.recalibration import (
    AS_IT_SAYS,
    LARGEST_CHANGE,
    LEAST_SLOPE,
    MOST_SHIFT,
    MOST_SLOPE,
    Coefficients,
    Fit,
    Horizon,
    Recalibration,
    RecalibrationRefused,
    read_recalibration,
    recalibrated,
    recalibration_file,
)
from shadow.recalibration_fit import MIN_EFFECTIVE, STEP_OF_SHIFT, STEP_OF_SLOPE, fit, pair_of
from shadow.statistics import auc
from tests.support.forecasters import make_world
from tests.support.recalibrations import noise, sharpened, walked

HORIZONS = (1, 5, 12, 24)
N_BARS, N_RUNS = 6_000, 4
"""Enough for 24 bars ahead to be learnt from for two thirds of the time."""


def losses(p, world):
    """Expected Brier scores above the best possible: of p, and of p', where there is one."""
    own, read = [], []
    for run in range(N_RUNS):
        rows = walked(p[:, run], world.up[:, run], world.horizon).rows
        known = np.isfinite(rows.recalibrated)
        assert known.any()
        own.append(np.mean((rows.p - world.truth[:, run])[known] ** 2))
        read.append(np.mean((rows.recalibrated - world.truth[:, run])[known] ** 2))
    return float(np.mean(own)), float(np.mean(read))


@pytest.fixture(scope="module", params=HORIZONS)
def world(request):
    return make_world(request.param, N_BARS, N_RUNS)


@pytest.mark.slow
def test_who_is_calibrated_is_left_nearly_as_he_is(world):
    own, read = losses(world.truth, world)
    assert own == 0.0
    assert read < 0.0002


@pytest.mark.slow
@pytest.mark.parametrize("times", [5, 10])
def test_who_is_far_too_sure_wins_back_most_of_what_that_costs(world, times):
    own, read = losses(sharpened(world.truth, times), world)
    assert read < 0.25 * own


@pytest.mark.slow
def test_of_no_skill_less_is_made_and_none_is_invented(world):
    p = noise(world)
    own, read = losses(p, world)
    assert read < own
    walks = [walked(p[:, run], world.up[:, run], world.horizon) for run in range(N_RUNS)]
    assert np.mean([updates[-1].slope for _, updates in walks]) < 0.9
    for rows, _ in walks:
        known = np.isfinite(rows.recalibrated)
        of_p, of_read = (auc(one[known], rows.up[known]) for one in (rows.p, rows.recalibrated))
        assert abs(of_read - of_p) < 0.02
        assert np.mean((rows.recalibrated - rows.up)[known] ** 2) > 0.245


@pytest.mark.slow
def test_no_update_leaves_the_bounds_or_goes_further_than_one_step(world):
    _, updates = walked(sharpened(world.truth, 10)[:, 0], world.up[:, 0], world.horizon)
    for before, after in zip([AS_IT_SAYS, *updates], updates, strict=False):
        assert after.are_within_bounds
        assert abs(after.shift - before.shift) <= STEP_OF_SHIFT + 1e-12
        assert abs(after.slope - before.slope) <= STEP_OF_SLOPE + 1e-12
    assert updates[-1].slope == pytest.approx(LEAST_SLOPE)


def learnt(world_of, n, horizon=5, before=AS_IT_SAYS):
    bars = np.arange(n)
    return fit(world_of.truth[:n, 0], world_of.up[:n, 0], bars, horizon, before)


def test_too_few_outcomes_say_nothing_and_the_same_ones_the_same():
    five = make_world(5, 2_000, 1)
    few = learnt(five, 200)
    assert few.n_effective is not None
    assert few.n_effective < MIN_EFFECTIVE
    assert few.coefficients is None
    assert learnt(five, 30).n_effective is None
    many = learnt(five, 2_000)
    assert many.coefficients is not None
    assert many == learnt(five, 2_000)


def test_a_probability_that_is_none_is_left_out_of_the_fit():
    five = make_world(5, 2_000, 1)
    p, up, bars = five.truth[:, 0].copy(), five.up[:, 0], np.arange(2_000)
    p[::3] = np.nan
    kept = np.isfinite(p)
    assert fit(p, up, bars, 5) == fit(p[kept], up[kept], bars[kept], 5)
    assert fit(np.full(2_000, np.nan), up, bars, 5) == Fit(n=0, n_effective=None)


@pytest.mark.parametrize("p", [None, math.nan, -0.1, 0.0, 1.0, 1.1, math.inf])
def test_nothing_is_made_of_what_is_no_probability(p):
    assert recalibrated(p, Coefficients(0.1, 1.5)) is None


@pytest.mark.parametrize("p", [1e-300, 0.2, 0.5, 0.7, 1 - 2**-53])
def test_as_it_says_is_what_it_says(p):
    assert recalibrated(p, AS_IT_SAYS) == pytest.approx(p, rel=1e-9)


def test_within_the_bounds_no_score_of_one_bar_changes_further_than_the_test_allows_for():
    largest = 0.0
    for p in (1.0 / (1.0 + np.exp(-np.linspace(-12, 12, 2_001)))).tolist():
        for shift in (-MOST_SHIFT, 0.0, MOST_SHIFT):
            for slope in (LEAST_SLOPE, 1.0, MOST_SLOPE):
                read = recalibrated(p, Coefficients(shift, slope))
                assert read is not None
                largest = max(largest, *(abs((read - up) ** 2 - (p - up) ** 2) for up in (0, 1)))
    assert 0.4 < largest < LARGEST_CHANGE


def test_evidence_tells_the_sure_from_the_calibrated():
    five = make_world(5, 3_000, 1)
    for p, is_better in ((five.truth[:, 0], False), (sharpened(five.truth, 10)[:, 0], True)):
        rows, _ = walked(p, five.up[:, 0], 5)
        evidence = pair_of(rows, 20.0)
        assert (evidence.better >= 20.0) is is_better
        assert evidence.worse < 20.0
        assert evidence.n_bars == np.isfinite(rows.recalibrated).sum()


def test_a_recorded_number_that_can_not_be_ours_is_no_evidence():
    five = make_world(5, 3_000, 1)
    rows, _ = walked(sharpened(five.truth, 10)[:, 0], five.up[:, 0], 5)
    rows.recalibrated[-1] = 1.0 - rows.up[-1]
    rows.p[-1] = rows.up[-1]
    evidence = pair_of(rows, 20.0)
    assert evidence.reason == f"1 of {evidence.n_bars} differences are not finite"
    assert math.isnan(evidence.better)


FILE = Recalibration(
    kind="updated",
    bundle_id="a",
    since_ms=0,
    until_ms=10,
    next_ms=20,
    valid_until_ms=30,
    at="2025-01-01T00:00:00.000Z",
    who="a test",
    why="to see",
    horizons={
        "5": Horizon(
            fit=Fit(n=900, n_effective=200.0, coefficients=Coefficients(0.01, 0.8)),
            n_judged=100,
            mean_difference=-0.01,
            better=25.0,
            holds_since_ms=5,
        )
    },
)


def test_a_file_is_read_as_it_was_written_and_only_for_its_time(tmp_path):
    assert read_recalibration(tmp_path, "a") is None
    put(tmp_path, msgspec.json.encode(FILE))
    assert read_recalibration(tmp_path, "a") == FILE
    assert [FILE.is_for(close_ms) for close_ms in (9, 10, 30, 31)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b'"slope":0.8', b'"slope":0.2'),
        (b'"slope":0.8', b'"slope":1.6'),
        (b'"slope":0.8', b'"slope":null'),
        (b'"slope":0.8', b'"slope":1e999'),
        (b'"shift":0.01', b'"shift":0.2'),
        (b'"shift":0.01', b'"shift":-0.16'),
        (b'"bundle_id":"a"', b'"bundle_id":"b"'),
        (b'"format":1', b'"format":2'),
        (b'"until_ms":10', b'"until_ms":21'),
        (b'"better":25.0', b'"better":null'),
        (b'"who":', b'"whoever":'),
        (b"}", b""),
    ],
)
def test_a_file_that_may_not_be_believed_is_refused_as_a_whole(tmp_path, was, now):
    text = msgspec.json.encode(FILE)
    assert was in text
    put(tmp_path, text.replace(was, now, 1))
    with pytest.raises(RecalibrationRefused, match="--reset"):
        read_recalibration(tmp_path, "a")


def put(models, text):
    path = recalibration_file(models, "a")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
