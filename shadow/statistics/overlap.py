"""What standard error does a figure have whose rows overlap?

A label over the next h bars shares h - 1 of them with its neighbour: rows are far from independent.
Every standard error here is heteroskedasticity and autocorrelation consistent (HAC): the influence of
each row on the figure, summed over the symbols per time step, then a long-run variance in time order.
Summing first keeps the dependence between symbols that move together.

What can not be judged has a `reason` and NaN figures, so that no comparison with a limit holds.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LAGS_PER_OVERLAP = 4
"""Bartlett lags per bar of overlap: at 2 short samples cover too little, at 5 fewer can be judged."""
MIN_BARS_PER_LAG = 2
_MAX_SPAN_BARS = 50_000_000
_ALPHA = 0.05


class Estimate(msgspec.Struct, frozen=True):
    """A figure with its 95 % interval. `null` is its value without skill.

    `p_value_no_skill` is the chance that a model without skill looks at least this good (one-sided).
    `n` counts rows, `n_effective` independent rows that would give the same standard error.
    Where `reason` is not None the evidence does not carry a figure, and the others are NaN.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    n: int
    n_effective: float
    p_value_no_skill: float
    null: float
    reason: str | None = None

    @property
    def t(self) -> float:
        """Standard errors between the estimate and no skill."""
        return (self.estimate - self.null) / self.standard_error


def mean_interval(
    values: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """The mean of `values` (n,), with an interval that is valid where rows overlap.

    Arguments as in `auc_interval`. `null` is 0: of paired differences, that there is none.
    """
    values, _, bars = aligned(values, values, time_index, overlap_bars)
    reason = unfit(values, bars, overlap_bars)
    if reason:
        return no_estimate(values.size, 0.0, reason)
    estimate = float(values.mean())
    return estimate_of(estimate, values - estimate, bars, overlap_bars, null=0.0)


def effective_n(values: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None) -> float:
    """How many independent rows give the mean of `values` (n,) the same standard error; at most n.

    NaN where there is too little to tell. Arguments as in `auc_interval`.
    """
    values, _, bars = aligned(values, values, time_index, overlap_bars)
    if unfit(values, bars, overlap_bars):
        return math.nan
    centred = values - values.mean()
    return _independent_rows(centred, _long_run_sum(centred, bars, overlap_bars)[0])


def _long_run_sum(influence: Floats, bars: Integers, overlap_bars: int) -> tuple[float, float]:
    """The variance of the sum of `influence`, and the degrees of freedom of that variance.

    Bartlett weights over `LAGS_PER_OVERLAP * overlap_bars` lags: Newey and West, Econometrica 1987.
    With b = lags / bars it is too small by 1 - b + b^2/3, as the mean was fitted: divided out (Kiefer
    and Vogelsang, Econometric Theory 2005). It is itself about as uncertain as a chi-squared with
    3 / (2 b) degrees of freedom (Priestley, Spectral Analysis and Time Series, 1981).
    """
    per_bar = np.bincount(bars, weights=influence)
    n_lags = LAGS_PER_OVERLAP * overlap_bars
    share = n_lags / _n_distinct(bars)
    total = float(per_bar @ per_bar)
    for lag in range(1, min(n_lags, per_bar.size - 1) + 1):
        total += 2.0 * (1.0 - lag / (n_lags + 1)) * float(per_bar[lag:] @ per_bar[:-lag])
    return max(total, 0.0) / (1.0 - share + share**2 / 3.0), 1.5 / share


def _independent_rows(influence: Floats, variance_of_sum: float) -> float:
    if variance_of_sum <= 0.0:
        return math.nan
    return min(float(influence.size), influence.size * float(influence @ influence) / variance_of_sum)


def estimate_of(
    estimate: float, influence: Floats, bars: Integers, overlap_bars: int, null: float
) -> Estimate:
    # An extra: roles are given and taken away where it is not installed, too.
    from scipy.special import stdtr, stdtrit

    variance_of_sum, freedom = _long_run_sum(influence, bars, overlap_bars)
    n = influence.size
    # Perfect separation has no spread to estimate: an error of zero would be the surest verdict of all.
    if variance_of_sum <= n * np.finfo(float).eps:
        return no_estimate(n, null, "the rows show no spread, so no error can be estimated")
    error = math.sqrt(variance_of_sum) / n
    half_width = float(stdtrit(freedom, 1.0 - _ALPHA / 2.0)) * error
    return Estimate(
        estimate=estimate,
        low=estimate - half_width,
        high=estimate + half_width,
        standard_error=error,
        n=n,
        n_effective=_independent_rows(influence, variance_of_sum),
        p_value_no_skill=float(stdtr(freedom, (null - estimate) / error)),
        null=null,
    )


def no_estimate(n: int, null: float, reason: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, math.nan, n, math.nan, math.nan, null, reason)


def aligned(
    first: ArrayLike, second: ArrayLike, time_index: ArrayLike | None, overlap_bars: int
) -> tuple[Floats, Floats, Integers]:
    """Both columns as float64 and bar numbers from 0, all of shape (n,). Raises ValueError."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    bars = np.arange(first.size) if time_index is None else np.asarray(time_index, dtype=np.int64)
    if first.ndim != 1 or first.shape != second.shape or first.shape != bars.shape:
        raise ValueError(
            f"expected columns of one length, was {first.shape}, {second.shape}, {bars.shape}"
        )
    if overlap_bars < 1:
        raise ValueError(f"expected a horizon of at least 1 bar, was {overlap_bars}")
    if bars.size:
        bars = bars - bars.min()
        if bars.max() > _MAX_SPAN_BARS:
            raise ValueError(f"expected a time index that counts bars, was a span of {bars.max()}")
    return first, second, bars


def check_labels(up: Floats) -> None:
    if not ((up == 0.0) | (up == 1.0)).all():
        raise ValueError("expected labels 0 and 1")


def _n_distinct(bars: Integers) -> int:
    return int(np.count_nonzero(np.bincount(bars)))


def unfit(values: Floats, bars: Integers, overlap_bars: int) -> str | None:
    """Why no standard error can be had for `values`, or None."""
    n_broken = values.size - int(np.count_nonzero(np.isfinite(values)))
    if n_broken:
        return f"{n_broken} of {values.size} rows are not finite"
    n_bars, needed = _n_distinct(bars), MIN_BARS_PER_LAG * LAGS_PER_OVERLAP * overlap_bars
    if n_bars < needed:
        return f"{n_bars} bars with an outcome are too few, {needed} are needed"
    if values.min() == values.max():
        return "the values are all the same"
    return None
