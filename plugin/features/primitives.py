"""Which small pieces of arithmetic are the kernels made of?

Arrays are one-dimensional float64, oldest first. Sums run in four lanes in a fixed order: as exact from
call to call as a plain loop, and four times as fast, because no lane waits for the others. Second
moments are taken in two passes, around the mean, so that nothing cancels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled

Series = NDArray[np.float64]


@compiled
def total(x: Series) -> float:
    """The sum of `x`."""
    a = b = c = d = 0.0
    n_in_lanes = x.size // 4 * 4
    for i in range(0, n_in_lanes, 4):
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
    for i in range(n_in_lanes, x.size):
        a += x[i]
    return (a + b) + (c + d)


@compiled
def dot(x: Series, y: Series) -> float:
    """The sum of the products of `x` and `y`, which are equally long."""
    a = b = c = d = 0.0
    n_in_lanes = x.size // 4 * 4
    for i in range(0, n_in_lanes, 4):
        a += x[i] * y[i]
        b += x[i + 1] * y[i + 1]
        c += x[i + 2] * y[i + 2]
        d += x[i + 3] * y[i + 3]
    for i in range(n_in_lanes, x.size):
        a += x[i] * y[i]
    return (a + b) + (c + d)


@compiled
def codeviation(x: Series, y: Series) -> float:
    """The sum of the products of the deviations of `x` and `y` from their means."""
    mean_x = total(x) / x.size
    mean_y = total(y) / y.size
    a = b = c = d = 0.0
    n_in_lanes = x.size // 4 * 4
    for i in range(0, n_in_lanes, 4):
        a += (x[i] - mean_x) * (y[i] - mean_y)
        b += (x[i + 1] - mean_x) * (y[i + 1] - mean_y)
        c += (x[i + 2] - mean_x) * (y[i + 2] - mean_y)
        d += (x[i + 3] - mean_x) * (y[i + 3] - mean_y)
    for i in range(n_in_lanes, x.size):
        a += (x[i] - mean_x) * (y[i] - mean_y)
    return (a + b) + (c + d)


@compiled
def mean(x: Series) -> float:
    """The arithmetic mean."""
    return total(x) / x.size


@compiled
def deviation(x: Series) -> float:
    """The standard deviation, with n in the denominator."""
    return math.sqrt(codeviation(x, x) / x.size)


@compiled
def correlation(x: Series, y: Series) -> float:
    """Pearson's correlation; 0 where one of the two does not vary."""
    return ratio(codeviation(x, y), math.sqrt(codeviation(x, x)) * math.sqrt(codeviation(y, y)), 0.0)


@compiled
def highest(x: Series) -> float:
    """The largest element."""
    best: float = x[0]
    for i in range(1, x.size):
        best = max(best, x[i])
    return best


@compiled
def lowest(x: Series) -> float:
    """The smallest element."""
    best: float = x[0]
    for i in range(1, x.size):
        best = min(best, x[i])
    return best


@compiled
def ratio(numerator: float, denominator: float, neutral: float) -> float:
    """The quotient; `neutral` where the denominator is 0."""
    return neutral if denominator == 0.0 else numerator / denominator


@compiled
def log_ratio(numerator: float, denominator: float) -> float:
    """The logarithm of the quotient of two sizes; 0 where one of them is 0."""
    if numerator <= 0.0 or denominator <= 0.0:
        return 0.0
    return math.log(numerator / denominator)


@compiled
def position(value: float, low: float, high: float) -> float:
    """Where `value` lies between `low` (0) and `high` (1); the middle where the two are equal."""
    return ratio(value - low, high - low, 0.5)


@compiled
def line_fit(y: Series) -> tuple[float, float]:
    """Least squares of `y` on the bar number: slope per bar, and R2 (share of variance explained)."""
    n = y.size
    middle = (n - 1) / 2.0
    mean_y = mean(y)
    tilt = spread = 0.0
    for i in range(n):
        from_mean = y[i] - mean_y
        tilt += (i - middle) * from_mean
        spread += from_mean * from_mean
    span = n * (n * n - 1.0) / 12.0
    return tilt / span, ratio(tilt * tilt, span * spread, 0.0)
