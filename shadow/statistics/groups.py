"""What came of the rows of each group, when rows overlap?"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from shadow.statistics.overlap import Estimate, Floats, Integers, aligned, check_labels, mean_interval


class Quantile(msgspec.Struct, frozen=True):
    """One fifth of the rows by probability, lowest first; `low` and `high` bound `mean_return`."""

    n: int
    mean_p: float
    up_share: float
    mean_return: float
    low: float
    high: float


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Rows with similar probabilities: what was said, and what came with its 95 % interval."""

    n: int
    mean_p: float
    up_share: float
    low: float
    high: float


def quantiles(
    p: ArrayLike,
    forward_return: ArrayLike,
    up: ArrayLike,
    overlap_bars: int,
    time_index: ArrayLike | None = None,
    n_groups: int = 5,
) -> tuple[Quantile, ...]:
    """The mean return of the rows by the rank of `p`, in `n_groups` of about the same size.

    Arguments as in `auc_interval`; `forward_return` (n,). Rows with the same `p` stay together, so that
    there may be fewer groups; none where a value is not finite. The interval is that of
    `mean_interval`, NaN where a group lies on too few bars.
    """
    p, forward, bars = aligned(p, forward_return, time_index, overlap_bars)
    up = np.asarray(up, dtype=np.float64)
    if p.size < n_groups or not np.isfinite(p + forward).all():
        return ()
    found = []
    for rows, estimate in _groups(forward, _by_rank(p, n_groups), n_groups, bars, overlap_bars):
        mean_return = float(forward[rows].mean())
        shares = float(p[rows].mean()), float(up[rows].mean())
        found.append(Quantile(rows.size, *shares, mean_return, estimate.low, estimate.high))
    return tuple(found)


def reliability_curve(
    p: ArrayLike,
    up: ArrayLike,
    overlap_bars: int,
    time_index: ArrayLike | None = None,
    n_bins: int = 10,
) -> tuple[ReliabilityBin, ...]:
    """How often "up" came where about so much was said, in `n_bins` of about the same size.

    Bins of one width would leave most of them empty: nobody is often surer than 0.6 of the next bars.
    Arguments as in `auc_interval`; rows with the same `p` stay together; none where a value is not a
    probability, or there are fewer rows than bins. The interval of a share is that of `mean_interval`,
    NaN where a bin lies on too few bars or holds one label only.
    """
    p, up, bars = aligned(p, up, time_index, overlap_bars)
    check_labels(up)
    if p.size < n_bins or not ((p >= 0.0) & (p <= 1.0)).all():
        return ()
    group = _by_rank(p, n_bins)
    return tuple(
        ReliabilityBin(
            rows.size,
            float(p[rows].mean()),
            float(up[rows].mean()),
            max(0.0, share.low) if share.reason is None else share.low,
            min(1.0, share.high) if share.reason is None else share.high,
        )
        for rows, share in _groups(up, group, n_bins, bars, overlap_bars)
    )


def _by_rank(p: Floats, n_groups: int) -> Integers:
    """The group of each row, 0 to `n_groups` - 1, by the rank of `p`."""
    # The edges are values of p, not places: equal ones can not be told apart.
    places = (np.arange(1, n_groups) * p.size) // n_groups
    edges = np.partition(p, places)[places]
    return np.searchsorted(edges, p, side="right")


def _groups(
    values: Floats, group: Integers, n_groups: int, bars: Integers, overlap_bars: int
) -> list[tuple[Integers, Estimate]]:
    """The rows of each group that has some, and the mean of their `values`.

    The mean over the rows of a group is a ratio of two sums over time, whose influence is the distance
    of a row from it: `mean_interval` of these rows alone, at the bars where they stand.
    """
    # Eight bits are sorted by counting; where rows come in order of their group, nothing moves.
    order = np.argsort(group.astype(np.int8), kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
    found = []
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[first:end]
        if rows.size:
            found.append((rows, mean_interval(values[rows], overlap_bars, bars[rows])))
    return found
