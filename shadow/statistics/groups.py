"""What came of the rows of each group, when rows overlap?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from shadow.statistics.ordering import rising
from shadow.statistics.overlap import Floats, aligned, check_labels, mean_interval


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
    order, p = rising(p)
    forward, up, bars = forward[order], up[order], bars[order]
    found = []
    for rows in _groups(p, n_groups):
        estimate = mean_interval(forward[rows], overlap_bars, bars[rows])
        shares = float(p[rows].mean()), float(up[rows].mean())
        mean_return = float(forward[rows].mean())
        found.append(Quantile(estimate.n, *shares, mean_return, estimate.low, estimate.high))
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
    order, p = rising(p)
    up, bars = up[order], bars[order]
    found = []
    for rows in _groups(p, n_bins):
        share = mean_interval(up[rows], overlap_bars, bars[rows])
        low, high = share.low, share.high
        if share.reason is None:
            low, high = max(0.0, low), min(1.0, high)
        found.append(ReliabilityBin(share.n, float(p[rows].mean()), float(up[rows].mean()), low, high))
    return tuple(found)


def _groups(p: Floats, n_groups: int) -> Iterator[slice]:
    """Where in `p`, which rises, each group that has rows lies.

    The mean over the rows of a group is a ratio of two sums over time, whose influence is the distance
    of a row from it: `mean_interval` of these rows alone, at the bars where they stand.
    """
    # The edges are values of p, not places: equal ones can not be told apart.
    edges = p[np.arange(1, n_groups) * p.size // n_groups]
    bounds = [0, *np.searchsorted(p, edges).tolist(), p.size]
    for first, end in pairwise(bounds):
        if first < end:
            yield slice(first, end)
