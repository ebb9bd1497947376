"""Do rows that were ranked higher do better, and could it be luck?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadow.statistics.ordering import Order, rising
from shadow.statistics.overlap import (
    Estimate,
    Floats,
    Integers,
    aligned,
    check_labels,
    estimate_of,
    mean_interval,
    no_estimate,
    unfit,
)

MIN_ROWS_PER_CLASS = 10


def auc_interval(
    p: ArrayLike, up: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """The area under the ROC curve, with an interval that is valid for overlapping labels.

    `p` (n,) any score that rises with the chance of "up"; `up` (n,) 0 or 1; `overlap_bars` the horizon
    of the label in bars; `time_index` (n,) the bar number of each row, in any order, repeated where
    several symbols share a bar, by default 0 to n - 1. O(n log n); ties count one half.
    Raises ValueError for unequal lengths, labels other than 0 and 1, or a time index not in bars.

    Influence values: DeLong, DeLong and Clarke-Pearson, Biometrics 1988, in the O(n log n) of Sun and
    Xu, IEEE Signal Processing Letters 2014. Variance: see `shadow.statistics.overlap`.
    """
    p, up, bars = aligned(p, up, time_index, overlap_bars)
    check_labels(up)
    reason = unfit(p, bars, overlap_bars) or _one_sided(up)
    if reason:
        return no_estimate(p.size, 0.5, reason)
    estimate, influence = _auc_influence(p, up == 1.0)
    return estimate_of(estimate, influence, bars, overlap_bars, null=0.5)


def auc_difference(
    p: ArrayLike,
    other: ArrayLike,
    up: ArrayLike,
    overlap_bars: int,
    time_index: ArrayLike | None = None,
) -> Estimate:
    """The AUC of `p` less that of `other` on the same rows, with an interval for the pair.

    Arguments otherwise, method and errors as of `auc_interval`: the influence of a row on the
    difference is the difference of its influences.
    """
    first, up, bars = aligned(p, up, time_index, overlap_bars)
    second, _, _ = aligned(other, up, time_index, overlap_bars)
    check_labels(up)
    reason = unfit(first, bars, overlap_bars) or unfit(second, bars, overlap_bars) or _one_sided(up)
    if reason:
        return no_estimate(first.size, 0.0, reason)
    (area, influence), (other_area, other_influence) = (
        _auc_influence(values, up == 1.0) for values in (first, second)
    )
    difference = influence - other_influence
    return estimate_of(area - other_area, difference, bars, overlap_bars, null=0.0)


def auc(p: ArrayLike, up: ArrayLike) -> float:
    """The area under the ROC curve alone, NaN where one class is absent. Ties count one half."""
    p, up, _ = aligned(p, up, None, 1)
    check_labels(up)
    is_up = up == 1.0
    # Values alone are sorted faster than ranked, and sorted ones are found faster.
    ups, downs = np.sort(p[is_up]), np.sort(p[~is_up])
    if not ups.size or not downs.size or not np.isfinite(p).all():
        return math.nan
    n_below = np.searchsorted(downs, ups)
    tied = ups[downs[np.minimum(n_below, downs.size - 1)] == ups]
    n_tied = np.searchsorted(downs, tied, "right") - np.searchsorted(downs, tied)
    return (int(n_below.sum()) + int(n_tied.sum()) / 2.0) / (ups.size * downs.size)


def ic(
    p: ArrayLike, forward_return: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """Pearson's correlation of `p` with the return that followed, with a HAC standard error.

    Arguments as in `auc_interval`; `forward_return` (n,) over `overlap_bars` bars. The influence of a
    row is x y - r (x^2 + y^2) / 2 in standardised x and y (Devlin, Gnanadesikan and Kettenring,
    Biometrika 1975).
    """
    p, forward, bars = aligned(p, forward_return, time_index, overlap_bars)
    reason = unfit(p, bars, overlap_bars) or unfit(forward, bars, overlap_bars)
    if reason:
        return no_estimate(p.size, 0.0, reason)
    x, y = _standardised(p), _standardised(forward)
    estimate = float(x @ y) / p.size
    influence = x * y - estimate * (x * x + y * y) / 2.0
    return estimate_of(estimate, influence, bars, overlap_bars, null=0.0)


def rank_ic(
    p: ArrayLike, forward_return: ArrayLike, overlap_bars: int, time_index: ArrayLike | None = None
) -> Estimate:
    """Spearman's rank correlation of `p` with the return that followed, with a HAC standard error.

    Arguments as in `auc_interval`; `forward_return` (n,) over `overlap_bars` bars. The influence of a
    row is the product of its two standardised ranks, exact where there is no dependence: the case that
    `t` and `p_value_no_skill` are about (Hajek, Sidak and Sen, Theory of Rank Tests, 1999).
    """
    p, forward, bars = aligned(p, forward_return, time_index, overlap_bars)
    reason = unfit(p, bars, overlap_bars) or unfit(forward, bars, overlap_bars)
    if reason:
        return no_estimate(p.size, 0.0, reason)
    products = _standardised(mid_ranks(p)) * _standardised(mid_ranks(forward))
    estimate = float(products.mean())
    return estimate_of(estimate, products - estimate, bars, overlap_bars, null=0.0)


def cross_sectional_ic(
    p: ArrayLike,
    forward_return: ArrayLike,
    overlap_bars: int,
    time_index: ArrayLike,
    min_symbols: int = 5,
) -> Estimate:
    """The mean over the bars of the rank correlation across symbols, with a HAC standard error.

    Arguments as in `auc_interval`. Bars with fewer than `min_symbols` rows, and such on which all `p`
    or all returns are equal, are left out; `n` counts the bars that remain. The market's own move
    cancels within a bar (Grinold and Kahn, Active Portfolio Management, 1999).
    """
    p, forward, bars = aligned(p, forward_return, time_index, overlap_bars)
    finite = np.isfinite(p) & np.isfinite(forward)
    p, forward, bars = p[finite], forward[finite], bars[finite]
    order = np.argsort(bars, kind="stable")
    each, first = np.unique(bars[order], return_index=True)
    values, kept = [], []
    for bar, rows in zip(each.tolist(), np.split(order, first[1:]), strict=True):
        said, came = mid_ranks(p[rows]), mid_ranks(forward[rows])
        if rows.size >= min_symbols and said.std() > 0.0 and came.std() > 0.0:
            values.append(float(np.mean(_standardised(said) * _standardised(came))))
            kept.append(bar)
    return mean_interval(values, overlap_bars, kept)


def mid_ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs. `values` (n,) finite."""
    order, first = _ties(values)
    ranks = np.empty(values.size)
    if first.size == values.size:
        ranks[order] = np.arange(1, values.size + 1)
        return ranks
    size = np.diff(np.append(first, values.size))
    ranks[order] = np.repeat(first + (size + 1) / 2.0, size)
    return ranks


def _ties(values: Floats) -> tuple[Order, Integers]:
    """The order of the values, rising, and where in it each run of equal ones begins."""
    order, in_order = rising(values)
    return order, np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))


def _auc_influence(p: Floats, up: NDArray[np.bool_]) -> tuple[float, Floats]:
    """The AUC, and for each row what it adds to n times the AUC's error; the influences sum to 0."""
    n_up = int(np.count_nonzero(up))
    n_down = p.size - n_up
    order, first = _ties(p)
    up_in_order = up[order]
    ups = np.add.reduceat(up_in_order, first, dtype=np.int64)
    size = np.diff(np.append(first, p.size))
    downs = size - ups
    # Of the other class: the share that a row is on the right side of, a tie counting one half.
    below = (np.cumsum(downs) - downs / 2.0) / n_down
    above = 1.0 - (np.cumsum(ups) - ups / 2.0) / n_up
    if first.size < p.size:
        below, above = np.repeat(below, size), np.repeat(above, size)
    estimate = float(below[up_in_order].mean())
    influence = np.empty(p.size)
    influence[order] = np.where(
        up_in_order, (below - estimate) * (p.size / n_up), (above - estimate) * (p.size / n_down)
    )
    return estimate, influence


def _standardised(ranks: Floats) -> Floats:
    standardised: Floats = (ranks - ranks.mean()) / ranks.std()
    return standardised


def _one_sided(up: Floats) -> str | None:
    n_up = int(up.sum())
    if min(n_up, up.size - n_up) >= MIN_ROWS_PER_CLASS:
        return None
    return f"{n_up} up and {up.size - n_up} down are too few, {MIN_ROWS_PER_CLASS} of each are needed"
