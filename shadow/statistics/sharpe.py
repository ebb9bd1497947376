"""Is a Sharpe ratio above what the best of so many candidates without skill would show?"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from shadow.statistics.overlap import mean_interval

_EULER = 0.5772156649015329


class DeflatedSharpe(msgspec.Struct, frozen=True):
    """`sharpe` is per year; `deflated` the probability, 0 to 1, that the true one lies above what the
    best of the trials would show without skill. NaN where `reason` says why not. `n` counts bars."""

    sharpe: float
    deflated: float
    n: int
    reason: str | None = None


def deflated_sharpe(
    returns: ArrayLike, n_trials: int, bars_per_year: float, overlap_bars: int = 1
) -> DeflatedSharpe:
    """The Sharpe ratio of `returns` (n,) per bar, in time order, held against the best of `n_trials`.

    Bailey and Lopez de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 2014: the
    expected maximum of independent trials without skill is subtracted, and the error takes account of
    skew and kurtosis. The trials' own Sharpe ratios are not known; without skill they spread as the
    error of this one does, which is what is assumed. Bars of serially dependent returns are counted as
    the independent ones that they are worth (`mean_interval` over `overlap_bars`), never as more.
    """
    bars = np.asarray(returns, dtype=np.float64)
    worth = mean_interval(bars, overlap_bars)
    if worth.reason is not None:
        return DeflatedSharpe(math.nan, math.nan, bars.size, worth.reason)
    # An extra: the record's writer and reader work without it.
    from scipy.special import ndtr, ndtri

    spread = float(bars.std(ddof=1))
    ratio = float(bars.mean()) / spread
    standard = (bars - bars.mean()) / spread
    skew, kurtosis = float(np.mean(standard**3)), float(np.mean(standard**4))
    variance = (1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2) / (worth.n_effective - 1.0)
    if not variance > 0.0:
        reason = "the returns are too odd for an error of their Sharpe ratio"
        return DeflatedSharpe(math.nan, math.nan, bars.size, reason)
    error = math.sqrt(variance)
    best = 0.0
    if n_trials > 1:
        first, second = ndtri(1.0 - 1.0 / n_trials), ndtri(1.0 - 1.0 / (n_trials * math.e))
        best = error * float((1.0 - _EULER) * first + _EULER * second)
    sharpe = ratio * math.sqrt(bars_per_year)
    return DeflatedSharpe(sharpe, float(ndtr((ratio - best) / error)), bars.size)
