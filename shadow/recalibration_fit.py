"""What do outcomes say of how a bundle's probabilities should be read, when there are few of them?

Labels overlap, so a likelihood is weighted by what the outcomes are worth. The most likely coefficients
are pulled towards "as it says", then bounded, and reached in small steps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shadow.realised import Realised
from shadow.recalibration import (
    AS_IT_SAYS,
    LARGEST_CHANGE,
    LEAST_SLOPE,
    MOST_SHIFT,
    MOST_SLOPE,
    Coefficients,
    Fit,
)
from shadow.sequential import PairEvidence, pair_evidence
from shadow.statistics import effective_n

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

N_BARS = 4_320
"""The newest bars with an outcome that are learnt from: 180 days of hourly bars."""
MIN_EFFECTIVE = 100.0
"""Independent outcomes below which nothing is said: of 100, the standard error of the share of "up" is
five hundredths."""
STEP_OF_SHIFT, STEP_OF_SLOPE = 0.02, 0.05
"""How far one update may go: from "as it says" to half as sure takes ten."""
_SPREADS = 0.03, 0.5
"""How far shift and slope are believed to lie from 0 and 1 before any outcome. A wrong shift costs at
every bar, a wrong slope only where the bundle is sure."""
_PULL = np.array(_SPREADS) ** -2.0
_MOST_ITERATIONS = 100
_NEAR_ENOUGH = 1e-12


def fit(
    p: _Floats, up: _Floats, bar_number: _Integers, overlap_bars: int, before: Coefficients = AS_IT_SAYS
) -> Fit:
    """Learn from what was said and what came; at most one step from the coefficients `before`.

    `p` (n,) as recorded and `up` (n,) 0 or 1; `bar_number` (n,) in any order, repeated where several
    symbols share a bar; `overlap_bars` the horizon of the labels in bars. Rows of which nothing can be
    made are left out, and bars before the newest `N_BARS` as well.
    """
    usable = (p > 0.0) & (p < 1.0)  # NaN is not
    p, up, bars = p[usable], up[usable], bar_number[usable]
    newest = np.unique(bars)[-N_BARS:]
    if newest.size:
        recent = bars >= newest[0]
        p, up, bars = p[recent], up[recent], bars[recent]
    n_effective = effective_n(up - p, overlap_bars, bars)
    if math.isnan(n_effective):
        return Fit(n=p.size, n_effective=None)
    if n_effective < MIN_EFFECTIVE:
        return Fit(n=p.size, n_effective=n_effective)
    wanted = _most_likely(np.log(p) - np.log1p(-p), up, n_effective / p.size)
    return Fit(n=p.size, n_effective=n_effective, coefficients=_one_step(before, wanted), wanted=wanted)


def pair_of(rows: Realised, level: float) -> PairEvidence:
    """Whether p' scores better than p, by the test that champion and challenger are compared with.

    The loss is the Brier score, for each bar the mean over its symbols. Nothing is clipped: who is far
    too sure is so beyond any band, and the bounds of the coefficients bound how far scores lie apart.
    Rows without a p' do not count.
    """
    own = rows.where(np.isfinite(rows.recalibrated))
    bars, place = np.unique(own.bar_number, return_inverse=True)
    of_rows = (own.recalibrated - own.up) ** 2 - (own.p - own.up) ** 2
    difference = np.bincount(place, of_rows, bars.size) / np.bincount(place, minlength=bars.size)
    # No p' of ours lies so far off: a record that says so makes all of it no evidence.
    difference[np.abs(difference) > LARGEST_CHANGE] = math.nan
    return pair_evidence(difference, bars, own.overlap_bars, 0.0, level, LARGEST_CHANGE)


def _most_likely(log_odds: _Floats, up: _Floats, weight: float) -> Coefficients:
    """Newton's method on the penalised likelihood, each row counting `weight`: it has one maximum."""
    inputs = np.column_stack([np.ones(log_odds.size), log_odds])
    prior = found = np.array([AS_IT_SAYS.shift, AS_IT_SAYS.slope])
    for _ in range(_MOST_ITERATIONS):
        said = 0.5 + 0.5 * np.tanh(0.5 * (inputs @ found))  # a sigmoid that never overflows
        gradient = weight * (inputs.T @ (up - said)) - _PULL * (found - prior)
        curvature = weight * (inputs.T * (said * (1.0 - said))) @ inputs + np.diag(_PULL)
        step = np.linalg.solve(curvature, gradient)
        longest = float(np.abs(step).max())
        found = found + step / max(1.0, longest)
        if longest < _NEAR_ENOUGH:
            break
    return Coefficients(shift=float(found[0]), slope=float(found[1]))


def _one_step(before: Coefficients, wanted: Coefficients) -> Coefficients:
    shift = _clip(wanted.shift, -MOST_SHIFT, MOST_SHIFT)
    slope = _clip(wanted.slope, LEAST_SLOPE, MOST_SLOPE)
    return Coefficients(
        shift=_clip(shift, before.shift - STEP_OF_SHIFT, before.shift + STEP_OF_SHIFT),
        slope=_clip(slope, before.slope - STEP_OF_SLOPE, before.slope + STEP_OF_SLOPE),
    )


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
