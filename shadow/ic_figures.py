"""How do predictions do in one split, by every figure that a factor is judged by?"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.statistics import cross_sectional_ic, ic, mid_ranks, rank_ic
from shadow.statistics.overlap import Floats, Integers

MIN_SYMBOLS = 5
"""With so many at a time, predictions are compared across them, as a factor is."""


class SplitRows(msgspec.Struct, frozen=True, kw_only=True):
    """n predictions of one split with what came; every array is (n,). `bar_number` counts bars.

    `expected` is what the prediction is compared with for its errors: the outcome, 0 or 1, of a
    probability; the target itself of a forecast.
    """

    split: str
    horizon_bars: int
    target_name: str
    bar_number: Integers
    prediction: Floats
    target: Floats
    expected: Floats


class IcFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one split; NaN where `reason` says why. `n_broken` rows were not finite.

    `ic` and `rank_ic` are over all rows, or, `across` symbols, the mean over the bars of the rank
    correlation within each. `top_ic` and `bottom_ic` are correlations within the highest and the lowest
    fifth of the predictions.
    """

    split: str
    horizon_bars: int
    target: str
    across: bool
    n: int
    n_broken: int
    n_effective: float
    ic: float
    ic_t: float
    rank_ic: float
    rank_ic_t: float
    top_ic: float
    bottom_ic: float
    mse: float
    mae: float
    reason: str | None


def measure_split(rows: SplitRows) -> IcFigures:
    """All figures of a split. Rows that are not finite are counted and left out."""
    sound = np.isfinite(rows.prediction) & np.isfinite(rows.target) & np.isfinite(rows.expected)
    p, target, bars = rows.prediction[sound], rows.target[sound], rows.bar_number[sound]
    expected = rows.expected[sound]
    symbols_a_bar = p.size / max(1, np.unique(bars).size)
    across = symbols_a_bar >= MIN_SYMBOLS
    linear = ic(p, target, rows.horizon_bars, bars)
    if across:
        ranked = cross_sectional_ic(p, target, rows.horizon_bars, bars, MIN_SYMBOLS)
    else:
        ranked = rank_ic(p, target, rows.horizon_bars, bars)
    error = p - expected
    low, high = np.quantile(p, (0.2, 0.8)) if p.size else (math.nan, math.nan)
    return IcFigures(
        split=rows.split,
        horizon_bars=rows.horizon_bars,
        target=rows.target_name,
        across=across,
        n=p.size,
        n_broken=int(np.count_nonzero(~sound)),
        n_effective=linear.n_effective,
        ic=linear.estimate,
        ic_t=linear.t,
        rank_ic=ranked.estimate,
        rank_ic_t=ranked.t,
        top_ic=_correlation(p[p >= high], target[p >= high]),
        bottom_ic=_correlation(p[p <= low], target[p <= low]),
        mse=float(np.mean(error**2)) if p.size else math.nan,
        mae=float(np.mean(np.abs(error))) if p.size else math.nan,
        reason=ranked.reason or linear.reason,
    )


def _correlation(p: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Spearman's, without an error: of a part that was chosen by the prediction itself."""
    if p.size < 3 or np.ptp(p) == 0.0 or np.ptp(target) == 0.0:
        return math.nan
    return float(np.corrcoef(mid_ranks(p), mid_ranks(target))[0, 1])
