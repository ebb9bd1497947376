"""How good were the probabilities, and could it be luck?

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

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

LAGS_PER_OVERLAP = 4
"""Bartlett lags per bar of overlap: at 2 short samples cover too little, at 5 fewer can be judged."""
MIN_BARS_PER_LAG = 2
MIN_ROWS_PER_CLASS = 10
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


class Brier(msgspec.Struct, frozen=True):
    """The mean squared error of probabilities, and what it is made of.

    `score = reliability - resolution + uncertainty + within_bins`. All NaN where there is a `reason`.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    n: int
    reason: str | None = None


def auc_interval(
    p: ArrayLike, up: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """The area under the ROC curve, with an interval that is valid for overlapping labels.

    `p` (n,) any score that rises with the chance of "up"; `up` (n,) 0 or 1; `overlap_bars` the horizon
    of the label in bars; `time_index` (n,) the bar number of each row, in any order, repeated where
    several symbols share a bar, by default 0 to n - 1. O(n log n); ties count one half.
    Raises ValueError for unequal lengths, labels other than 0 and 1, or a time index not in bars.

    Influence values: DeLong, DeLong and Clarke-Pearson, Biometrics 1988, in the O(n log n) of Sun and
    Xu, IEEE Signal Processing Letters 2014. Variance: see `_long_run_sum`.
    """
    p, up, bars = _aligned(p, up, time_index, overlap_bars)
    _check_labels(up)
    reason = _unfit(p, bars, overlap_bars) or _one_sided(up)
    if reason:
        return _no_estimate(p.size, 0.5, reason)
    estimate, influence = _auc_influence(p, up == 1.0)
    return _estimate(estimate, influence, bars, overlap_bars, null=0.5)


def auc(p: ArrayLike, up: ArrayLike) -> float:
    """The area under the ROC curve alone, NaN where one class is absent. Ties count one half."""
    p, up, _ = _aligned(p, up, None, 1)
    _check_labels(up)
    n_up = float(up.sum())
    n_pairs = n_up * (up.size - n_up)
    if not n_pairs or not np.isfinite(p).all():
        return math.nan
    return (float(mid_ranks(p) @ up) - n_up * (n_up + 1.0) / 2.0) / n_pairs


def rank_ic(
    p: ArrayLike, forward_return: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """Spearman's rank correlation of `p` with the return that followed, with a HAC standard error.

    Arguments as in `auc_interval`; `forward_return` (n,) over `overlap_bars` bars. The influence of a
    row is the product of its two standardised ranks, exact where there is no dependence: the case that
    `t` and `p_value_no_skill` are about (Hajek, Sidak and Sen, Theory of Rank Tests, 1999).
    """
    p, forward, bars = _aligned(p, forward_return, time_index, overlap_bars)
    reason = _unfit(p, bars, overlap_bars) or _unfit(forward, bars, overlap_bars)
    if reason:
        return _no_estimate(p.size, 0.0, reason)
    products = _standardised(mid_ranks(p)) * _standardised(mid_ranks(forward))
    estimate = float(products.mean())
    return _estimate(estimate, products - estimate, bars, overlap_bars, null=0.0)


def mean_interval(
    values: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """The mean of `values` (n,), with an interval that is valid where rows overlap.

    Arguments as in `auc_interval`. `null` is 0: of paired differences, that there is none.
    """
    values, _, bars = _aligned(values, values, time_index, overlap_bars)
    reason = _unfit(values, bars, overlap_bars)
    if reason:
        return _no_estimate(values.size, 0.0, reason)
    estimate = float(values.mean())
    return _estimate(estimate, values - estimate, bars, overlap_bars, null=0.0)


def brier(p: ArrayLike, up: ArrayLike, n_bins: int = 10) -> Brier:
    """The Brier score and its parts over `n_bins` equally wide bins of [0, 1].

    `p` (n,) probabilities, `up` (n,) 0 or 1. A constant 0.5 scores 0.25. Parts: Murphy, Journal of
    Applied Meteorology 1973; `within_bins`, what binning hides: Stephenson, Coelho and Jolliffe,
    Weather and Forecasting 2008. Raises ValueError for unequal lengths or labels other than 0 and 1.
    """
    p, up, _ = _aligned(p, up, None, 1)
    _check_labels(up)
    if p.size == 0 or not ((p >= 0.0) & (p <= 1.0)).all():
        reason = "no rows" if p.size == 0 else "not every value is a probability"
        return Brier(*(math.nan,) * 5, n=int(p.size), reason=reason)
    bins = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    filled = np.maximum(counts, 1)
    p_mean = np.bincount(bins, p, n_bins) / filled
    up_mean = np.bincount(bins, up, n_bins) / filled
    base_rate, score = float(up.mean()), float(np.mean((p - up) ** 2))
    reliability = float(np.average((p_mean - up_mean) ** 2, weights=counts))
    resolution = float(np.average((up_mean - base_rate) ** 2, weights=counts))
    uncertainty = base_rate * (1.0 - base_rate)
    within_bins = score - (reliability - resolution + uncertainty)
    return Brier(score, reliability, resolution, uncertainty, within_bins, int(p.size))


def effective_n(values: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None) -> float:
    """How many independent rows give the mean of `values` (n,) the same standard error; at most n.

    NaN where there is too little to tell. Arguments as in `auc_interval`.
    """
    values, _, bars = _aligned(values, values, time_index, overlap_bars)
    if _unfit(values, bars, overlap_bars):
        return math.nan
    centred = values - values.mean()
    return _independent_rows(centred, _long_run_sum(centred, bars, overlap_bars)[0])


def mid_ranks(values: _Floats) -> _Floats:
    """Ranks from 1, ties sharing the mean of theirs. `values` (n,) finite."""
    order, first = _ties(values)
    size = np.diff(np.append(first, values.size))
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(first + (size + 1) / 2.0, size)
    return ranks


def _ties(values: _Floats) -> tuple[_Integers, _Integers]:
    """The order of the values, rising, and where in it each run of equal ones begins."""
    order = np.argsort(values)
    in_order = values[order]
    return order, np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))


def _auc_influence(p: _Floats, up: NDArray[np.bool_]) -> tuple[float, _Floats]:
    """The AUC, and for each row what it adds to n times the AUC's error; the influences sum to 0."""
    n_up = int(np.count_nonzero(up))
    n_down = p.size - n_up
    order, first = _ties(p)
    up_in_order = up[order]
    ups = np.add.reduceat(up_in_order, first, dtype=np.int64)
    size = np.diff(np.append(first, p.size))
    downs = size - ups
    # Of the other class: the share that a row is on the right side of, a tie counting one half.
    below = np.repeat((np.cumsum(downs) - downs / 2.0) / n_down, size)
    above = np.repeat(1.0 - (np.cumsum(ups) - ups / 2.0) / n_up, size)
    estimate = float(below[up_in_order].mean())
    influence = np.empty(p.size)
    influence[order] = np.where(
        up_in_order, (below - estimate) * (p.size / n_up), (above - estimate) * (p.size / n_down)
    )
    return estimate, influence


def _long_run_sum(influence: _Floats, bars: _Integers, overlap_bars: int) -> tuple[float, float]:
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


def _independent_rows(influence: _Floats, variance_of_sum: float) -> float:
    if variance_of_sum <= 0.0:
        return math.nan
    return min(float(influence.size), influence.size * float(influence @ influence) / variance_of_sum)


def _estimate(
    estimate: float, influence: _Floats, bars: _Integers, overlap_bars: int, null: float
) -> Estimate:
    # An extra: roles are given and taken away where it is not installed, too.
    from scipy.special import stdtr, stdtrit

    variance_of_sum, freedom = _long_run_sum(influence, bars, overlap_bars)
    n = influence.size
    # Perfect separation has no spread to estimate: an error of zero would be the surest verdict of all.
    if variance_of_sum <= n * np.finfo(float).eps:
        return _no_estimate(n, null, "the rows show no spread, so no error can be estimated")
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


def _no_estimate(n: int, null: float, reason: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, math.nan, n, math.nan, math.nan, null, reason)


def _standardised(ranks: _Floats) -> _Floats:
    standardised: _Floats = (ranks - ranks.mean()) / ranks.std()
    return standardised


def _aligned(
    first: ArrayLike, second: ArrayLike, time_index: ArrayLike | None, overlap_bars: int
) -> tuple[_Floats, _Floats, _Integers]:
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


def _check_labels(up: _Floats) -> None:
    if not ((up == 0.0) | (up == 1.0)).all():
        raise ValueError("expected labels 0 and 1")


def _n_distinct(bars: _Integers) -> int:
    return int(np.count_nonzero(np.bincount(bars)))


def _unfit(values: _Floats, bars: _Integers, overlap_bars: int) -> str | None:
    """Why no standard error can be had for `values`, or None."""
    n_broken = int((~np.isfinite(values)).sum())
    if n_broken:
        return f"{n_broken} of {values.size} rows are not finite"
    n_bars, needed = _n_distinct(bars), MIN_BARS_PER_LAG * LAGS_PER_OVERLAP * overlap_bars
    if n_bars < needed:
        return f"{n_bars} bars with an outcome are too few, {needed} are needed"
    if values.min() == values.max():
        return "the values are all the same"
    return None


def _one_sided(up: _Floats) -> str | None:
    n_up = int(up.sum())
    if min(n_up, up.size - n_up) >= MIN_ROWS_PER_CLASS:
        return None
    return f"{n_up} up and {up.size - n_up} down are too few, {MIN_ROWS_PER_CLASS} of each are needed"
