"""What weight does a recursive average give each bar of the window?

A recursion such as Wilder's is linear in its inputs: over a window of fixed length it is a sum with
fixed weights, which a kernel takes in one pass without waiting from bar to bar. Only multiplications
build the weights, never `pow`, whose last bit differs between machines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _recursion(n: int, period: int, step: float) -> NDArray[np.float64]:
    weights = np.empty(n)
    weight = 1.0
    for i in range(n - 1, period - 1, -1):
        weights[i] = weight * step
        weight *= 1.0 - step
    weights[:period] = weight / period
    return weights


def wilder_weights(n: int, period: int) -> NDArray[np.float64]:
    """Weights (n,), oldest first, of Wilder's average: the mean of the first `period` values is the
    seed, then each value moves it by 1/period of the way (J. W. Wilder, 1978)."""
    return _recursion(n, period, 1.0 / period)


def ema_weights(n: int, period: int) -> NDArray[np.float64]:
    """Weights (n,), oldest first, of the exponential average with step 2 / (period + 1), seeded by the
    mean of the first `period` values, as in TA-Lib."""
    return _recursion(n, period, 2.0 / (period + 1))


def smoothed(weights: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Weights (n,) of the exponential average of a quantity that has `weights` itself.

    The seed is left out: with n well above the period it weighs less than one rounding.
    """
    step = 2.0 / (period + 1)
    out = np.empty(weights.size)
    level = 0.0
    for i in range(weights.size - 1, -1, -1):
        level += step * (weights[i] - level)
        out[i] = level
    return out
