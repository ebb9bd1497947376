"""Two bundles compared bar by bar: the rule against slow computations, and how often it is wrong."""

import math

import numpy as np
import pytest

from shadow.sequential import (
    CLIPPED,
    MIN_BARS_PER_SEQUENCE,
    UNCLIPPED,
    PairEvidence,
    clipped,
    evidence_path,
    pair_evidence,
    stride,
)
from tests.support.forecasters import World, brier_difference, forecasts, make_world

MARGIN, LEVEL = 0.005, 20.0
N_RUNS = {1: 1_000, 5: 200, 12: 200, 24: 200}
"""More where the limit of 5 % is nearly reached: of 200 runs, chance alone moves a share by 1.5 %."""
NULL_BARS = {1: 2_000, 5: 3_000, 12: 5_000, 24: 6_000}
"""More than the 120 days after which an undecided challenger makes room."""
POWER_BARS = {1: 2_000, 5: 4_500, 12: 11_000, 24: 19_000}


def _evidence(difference: object, horizon: int = 5, **changes: object) -> PairEvidence:
    arguments = {"bar_number": np.arange(np.size(difference)), "margin": MARGIN, "level": LEVEL}
    return pair_evidence(difference, overlap_bars=horizon, **(arguments | changes))


def _noise(n: int, mean: float = 0.0, seed: int = 0) -> np.ndarray:
    return mean + 0.03 * np.random.default_rng(seed).standard_normal(n)


def _slow(gain: np.ndarray, worst: float, n_sequences: int) -> float:
    """The rule in words: products of bets, their best so far, what half of the sequences reached."""
    best = []
    for first in range(n_sequences):
        highest = 1.0
        stands = {1.0: 0.5, 0.5: 0.25, 0.25: 0.25}
        for one in gain[first::n_sequences]:
            for size in stands:
                stands[size] *= 1.0 + size * 0.999 / -worst * one
            highest = max(highest, sum(stands.values()))
        best.append(highest)
    n_half = math.ceil(n_sequences / 2)
    return n_half / n_sequences * sorted(best, reverse=True)[n_half - 1]


@pytest.mark.parametrize(("horizon", "n_sequences"), [(1, 1), (2, 5), (5, 5), (12, 13), (24, 25)])
def test_every_claim_is_bet_against_as_the_rule_says(horizon, n_sequences):
    difference = _noise(400, -0.01)
    evidence = _evidence(difference, horizon)
    for said, gain, worst in (
        (evidence.not_inferior, MARGIN - difference, MARGIN - 0.4),
        (evidence.better, -difference, -0.4),
        (evidence.worse, difference, -0.4),
        (evidence.worse_by_margin, difference - MARGIN, -0.4 - MARGIN),
    ):
        assert said == pytest.approx(_slow(gain, worst, n_sequences), rel=1e-9)
    assert evidence.mean_difference == pytest.approx(difference.mean())


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 5, 6, 12, 24, 96, 168])
def test_labels_of_a_sequence_do_not_overlap_and_see_every_hour_of_the_day(horizon):
    assert stride(horizon) >= horizon
    assert {bar % 24 for bar in range(0, 24 * stride(horizon), stride(horizon))} == {*range(24)}


@pytest.mark.parametrize("horizon", [1, 5, 24])
def test_evidence_never_falls_and_is_what_one_would_have_seen_at_each_bar(horizon):
    difference = _noise(1_500, -0.004)
    path = evidence_path(MARGIN - difference, np.arange(1_500), horizon, MARGIN - CLIPPED)
    assert (np.diff(path) >= 0.0).all()
    for n in (1, 2, 30, 777, 1_500):
        assert _evidence(difference[:n], horizon).not_inferior == path[n - 1]


def test_the_order_of_the_rows_does_not_matter():
    difference, order = _noise(300), np.random.default_rng(1).permutation(300)
    shuffled = _evidence(difference[order], bar_number=np.arange(300)[order])
    assert shuffled == _evidence(difference)


def test_bars_that_are_missing_leave_the_others_in_their_sequences():
    bars = np.delete(np.arange(400), [3, 50, 51, 52, 53, 54, 55])
    gain = MARGIN - _noise(400)[bars]
    best = [
        evidence_path(gain[bars % 5 == number], bars[bars % 5 == number], 1, MARGIN - CLIPPED)[-1]
        for number in range(5)
    ]
    whole = evidence_path(gain, bars, 5, MARGIN - CLIPPED)[-1]
    assert whole == pytest.approx(0.6 * np.sort(np.maximum(best, 1.0))[2])


def test_what_refutes_better_in_one_refutes_worse_in_the_other():
    there, back = _evidence(_noise(1_500, 0.01)), _evidence(-_noise(1_500, 0.01))
    assert (there.worse, there.better) == (back.better, back.worse)
    assert there.worse > LEVEL > there.better


@pytest.mark.parametrize(
    "difference", [[], [math.nan] * 500, [0.0] * 500 + [math.nan], [math.inf] + [0.0] * 500]
)
def test_what_is_missing_or_not_finite_passes_no_limit(difference):
    evidence = _evidence(difference)
    assert evidence.reason is not None
    assert evidence.bars_needed is None
    for value in (evidence.not_inferior, evidence.better, evidence.worse, evidence.worse_by_margin):
        assert not value >= LEVEL


def test_the_first_bars_prove_nothing_whatever_they_say():
    for n in range(1, 20):
        assert _evidence([-CLIPPED] * n).not_inferior < LEVEL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bar_number": np.zeros(9)}, "repeats"),
        ({"bar_number": np.arange(8)}, "one length"),
        ({"difference": np.zeros((3, 3))}, "one length"),
        ({"difference": np.full(9, 0.41)}, "at most 0.4"),
        ({"overlap_bars": 0}, "at least 1 bar"),
        ({"margin": -0.001}, "margin"),
        ({"margin": 0.4}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"level": 1.0}, "level"),
        ({"level": math.nan}, "level"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(changes, message):
    arguments = {
        "difference": np.zeros(9),
        "bar_number": np.arange(9),
        "overlap_bars": 1,
        "margin": MARGIN,
        "level": LEVEL,
    }
    with pytest.raises(ValueError, match=message):
        pair_evidence(**(arguments | changes))


@pytest.mark.parametrize("largest", [CLIPPED, UNCLIPPED])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_widest_differences_leave_every_figure_finite(largest, sign):
    evidence = _evidence(np.full(10_000, sign * largest), 1, largest=largest)
    figures = (evidence.not_inferior, evidence.better, evidence.worse, evidence.worse_by_margin)
    assert all(math.isfinite(figure) and figure >= 1.0 for figure in figures)
    assert (evidence.better > LEVEL) == (sign < 0)


def test_the_bars_still_needed_are_about_what_it_then_takes():
    so_far, bars = _noise(500), np.arange(5_500)
    took = []
    for seed in range(40):
        then = np.random.default_rng(seed).choice(so_far, 5_000)
        path = evidence_path(MARGIN - np.append(so_far, then), bars, 5, MARGIN - CLIPPED)
        took.append(int(np.argmax(path >= LEVEL)) + 1 - 500)
    assert _evidence(so_far).bars_needed == pytest.approx(np.median(took), rel=0.2)


def test_no_bar_is_needed_once_the_level_is_reached():
    path = evidence_path(MARGIN - _noise(3_000), np.arange(3_000), 5, MARGIN - CLIPPED)
    first = int(np.argmax(path >= LEVEL))
    assert _evidence(_noise(3_000)[: first + 1]).bars_needed == 0
    assert _evidence(_noise(3_000)[:first]).bars_needed >= 1


def test_the_bars_needed_are_not_guessed_from_too_few_or_where_it_would_take_for_ever():
    enough = MIN_BARS_PER_SEQUENCE * 5
    assert _evidence(np.zeros(enough - 1)).bars_needed is None
    assert _evidence(np.zeros(enough)).bars_needed > 0
    assert _evidence(_noise(1_000, 0.01)).bars_needed is None


@pytest.fixture(scope="module", params=[1, 5, 12, 24], ids="h{}".format)
def world(request) -> World:
    return make_world(request.param, POWER_BARS[request.param], N_RUNS[request.param])


def _bars_until(gain: np.ndarray, horizon: int, worst: float) -> np.ndarray:
    """For each run (bars, runs), after how many bars the level was reached; infinite where never."""
    bars = np.arange(gain.shape[0])
    paths = (evidence_path(run, bars, horizon, worst) for run in gain.T)
    return np.array([np.argmax(path >= LEVEL) + 1 if path[-1] >= LEVEL else math.inf for path in paths])


def _until_not_inferior(world: World, worse_by: object, apart: object, n_bars: int) -> np.ndarray:
    """Bars until the first of two forecasters is found not inferior. Checks what it has made."""
    rng = np.random.default_rng(world.horizon + 100)
    truth, up = world.truth[:n_bars], world.up[:n_bars]
    first, second = (clipped(p) for p in forecasts(rng, truth, worse_by, apart))
    expected = (first - truth) ** 2 - (second - truth) ** 2
    assert expected.mean() == pytest.approx(np.mean(worse_by), abs=1e-4)
    difference = brier_difference(first, second, up)
    return _bars_until(MARGIN - difference, world.horizon, MARGIN - CLIPPED)


def until_not_inferior_at_the_margin(world: World) -> np.ndarray:
    return _until_not_inferior(world, MARGIN, 0.03, NULL_BARS[world.horizon])


def until_not_inferior_on_few_bars(world: World) -> np.ndarray:
    """Three times as much worse on a third of the bars, chosen by chance; as good on the others."""
    n_bars = NULL_BARS[world.horizon] // 3 * 3
    bad = np.random.default_rng(world.horizon).permutation(np.arange(n_bars) % 3 == 0)[:, None]
    return _until_not_inferior(world, np.where(bad, 3 * MARGIN, 0.0), np.where(bad, 0.09, 0.03), n_bars)


def until_not_inferior_by_hour(world: World) -> np.ndarray:
    """Better in 13 hours of the day, and in the others so much worse that the margin is its mean."""
    n_bars = NULL_BARS[world.horizon] // 24 * 24
    bad = (np.arange(n_bars) % 24 < 11)[:, None]
    worse_by = np.where(bad, (24 * MARGIN + 13 * 0.002) / 11, -0.002)
    return _until_not_inferior(world, worse_by, np.where(bad, 0.08, 0.03), n_bars)


@pytest.mark.parametrize(
    "until",
    [
        until_not_inferior_at_the_margin,
        until_not_inferior_on_few_bars,
        until_not_inferior_by_hour,
    ],
)
def test_worse_by_exactly_the_margin_is_rarely_taken_for_not_inferior(world, until):
    assert np.isfinite(until(world)).mean() <= 0.05


def until_equal_is_not_inferior(world: World) -> np.ndarray:
    return _until_not_inferior(world, 0.0, 0.03, POWER_BARS[world.horizon])


def until_better_is_not_inferior(world: World) -> np.ndarray:
    return _until_not_inferior(world, -0.002, 0.03, POWER_BARS[world.horizon] * 3 // 4)


def test_an_equal_and_a_better_one_are_found_not_inferior_the_better_one_sooner(world):
    equal, better = until_equal_is_not_inferior(world), until_better_is_not_inferior(world)
    assert np.isfinite(equal).mean() >= 0.9
    assert np.isfinite(better).mean() >= 0.95
    assert np.median(better) < 0.8 * np.median(equal)


def _until_worse_by_margin(world: World, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    difference = brier_difference(new, old, world.up[: len(new)])
    return _bars_until(difference - MARGIN, world.horizon, -UNCLIPPED - MARGIN)


@pytest.mark.parametrize("worse_by", [0.0, MARGIN])
def test_a_champion_that_holds_is_rarely_found_to_have_collapsed(world, worse_by):
    rng = np.random.default_rng(world.horizon + 200)
    new, old = forecasts(rng, world.truth[: NULL_BARS[world.horizon]], worse_by)
    assert np.isfinite(_until_worse_by_margin(world, new, old)).mean() <= 0.05


COLLAPSES = {
    "coin of 0 and 1": lambda rng, truth: rng.choice([0.0, 1.0], truth.shape),
    "noise from 0 to 1": lambda rng, truth: rng.random(truth.shape),
    "always 0.8": lambda _, truth: np.full(truth.shape, 0.8),
}


def until_collapse_is_found(world: World, collapse: str) -> np.ndarray:
    rng = np.random.default_rng(world.horizon + 300)
    truth = world.truth[: NULL_BARS[world.horizon]]
    _, old = forecasts(rng, truth, 0.0)
    return _until_worse_by_margin(world, COLLAPSES[collapse](rng, truth), old)


@pytest.mark.parametrize("collapse", COLLAPSES)
def test_a_collapse_is_found(world, collapse):
    bars = until_collapse_is_found(world, collapse)
    assert np.isfinite(bars).mean() >= 0.95
    assert np.median(bars) < 300 * stride(world.horizon)
