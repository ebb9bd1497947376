"""Do returns go on or turn back?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, codeviation, mean, ratio

NAMES = ("autocorrelation_72", "variance_ratio_4_168", "run_length", "up_share_24")


@compiled
def _autocorrelation(x: Series) -> float:
    average = mean(x)
    product = square = 0.0
    for i in range(1, x.size):
        product += (x[i] - average) * (x[i - 1] - average)
    for i in range(x.size):
        square += (x[i] - average) * (x[i] - average)
    return ratio(product, square, 0.0)


@compiled
def _variance_ratio(log_return: Series, log_close: Series, step: int) -> float:
    # `log_close` starts one bar before `log_return`; sums of `step` returns overlap.
    n = log_return.size
    drift = step * mean(log_return)
    long = 0.0
    for i in range(step, n + 1):
        beyond = log_close[i] - log_close[i - step] - drift
        long += beyond * beyond
    per_step = long / ((n - step + 1) * step)
    return ratio(per_step, codeviation(log_return, log_return) / n, 1.0) - 1.0


@compiled
def _run_length(log_return: Series) -> float:
    side: float = np.sign(log_return[-1])
    n = 0
    while side != 0.0 and n < log_return.size - 1 and np.sign(log_return[-1 - n]) == side:
        n += 1
    return side * n


@compiled
def write_serial(log_return: Series, log_close: Series, out: NDArray[np.float32]) -> None:
    """Dependence of a return on the ones before it. Variance ratio: Lo and MacKinlay 1988."""
    out[0] = _autocorrelation(log_return[-72:])
    out[1] = _variance_ratio(log_return[-168:], log_close[-169:], 4)
    out[2] = _run_length(log_return)
    n_up = 0
    for i in range(log_return.size - 24, log_return.size):
        n_up += log_return[i] > 0.0
    out[3] = n_up / 24.0
