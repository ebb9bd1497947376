"""Is a forecast closer to what came than a simpler one, and could it be luck?"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from shadow.statistics.overlap import Estimate, aligned, estimate_of, no_estimate, unfit


def rmse_skill(
    errors: ArrayLike,
    plain_errors: ArrayLike,
    overlap_bars: int,
    time_index: ArrayLike | None = None,
) -> Estimate:
    """By which share the root mean squared error is smaller than that of a plain forecast.

    `errors` (n,) and `plain_errors` (n,) of the same rows; the others as in `auc_interval`. 0 is no
    better, negative is worse; the ratio of the two is 1 less the estimate. Pairs are kept, so that what
    moves both does not widen the interval (Diebold and Mariano, Journal of Business & Economic
    Statistics 1995). The influence of a row is that of a ratio of two means, by the delta method.
    """
    errors, plain, bars = aligned(errors, plain_errors, time_index, overlap_bars)
    squared, plain_squared = errors**2, plain**2
    reason = unfit(squared - plain_squared, bars, overlap_bars)
    if reason:
        return no_estimate(errors.size, 0.0, reason)
    mean, plain_mean = float(squared.mean()), float(plain_squared.mean())
    if min(mean, plain_mean) == 0.0:
        return no_estimate(errors.size, 0.0, "one of the forecasts makes no error")
    ratio = math.sqrt(mean / plain_mean)
    influence = ratio / 2.0 * (plain_squared / plain_mean - squared / mean)
    return estimate_of(1.0 - ratio, influence, bars, overlap_bars, null=0.0)
