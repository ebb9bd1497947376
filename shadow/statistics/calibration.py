"""Do probabilities mean what they say?"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from shadow.statistics.overlap import aligned, check_labels


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


def brier(p: ArrayLike, up: ArrayLike, n_bins: int = 10) -> Brier:
    """The Brier score and its parts over `n_bins` equally wide bins of [0, 1].

    `p` (n,) probabilities, `up` (n,) 0 or 1. A constant 0.5 scores 0.25. Parts: Murphy, Journal of
    Applied Meteorology 1973; `within_bins`, what binning hides: Stephenson, Coelho and Jolliffe,
    Weather and Forecasting 2008. Raises ValueError for unequal lengths or labels other than 0 and 1.
    """
    p, up, _ = aligned(p, up, None, 1)
    check_labels(up)
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
