"""How much do prices move, by which measure, and compared with when?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, deviation, log_ratio, mean, ratio

NAMES = (
    "realised_vol_20",
    "vol_ratio_5_72",
    "vol_ratio_24_168",
    "vol_rank_24",
    "atr_ratio_14",
    "true_range_ratio_14",
    "parkinson_ratio_24",
    "garman_klass_vol_24",
    "rogers_satchell_ratio_24",
    "downside_share_24",
    "skew_72",
    "kurtosis_72",
)


@compiled
def _rank_24(log_return: Series) -> float:
    # The sum of squares of 24 returns is built by doubling: exact, unlike a running sum.
    n = log_return.size
    squares = np.empty(n)
    by_4 = np.empty(n)
    by_8 = np.empty(n)
    for i in range(1, n):
        squares[i] = log_return[i] * log_return[i]
    for i in range(4, n):
        by_4[i] = (squares[i] + squares[i - 1]) + (squares[i - 2] + squares[i - 3])
    for i in range(8, n):
        by_8[i] = by_4[i] + by_4[i - 4]
    newest = by_8[n - 1] + by_8[n - 9] + by_8[n - 17]
    n_lower = 0
    for i in range(24, n - 1):
        n_lower += by_8[i] + by_8[i - 8] + by_8[i - 16] < newest
    return n_lower / (n - 25)


@compiled
def _range_variances(
    open_: Series, high: Series, low: Series, close: Series
) -> tuple[float, float, float]:
    parkinson = garman_klass = rogers_satchell = 0.0
    for i in range(open_.size):
        up = math.log(high[i] / open_[i])
        down = math.log(low[i] / open_[i])
        body = math.log(close[i] / open_[i])
        span = up - down
        parkinson += span * span / (4.0 * math.log(2.0))
        garman_klass += 0.5 * span * span - (2.0 * math.log(2.0) - 1.0) * body * body
        rogers_satchell += up * (up - body) + down * (down - body)
    n = open_.size
    return parkinson / n, max(garman_klass / n, 0.0), max(rogers_satchell / n, 0.0)


@compiled
def _higher_moments(x: Series) -> tuple[float, float]:
    average = mean(x)
    second = third = fourth = 0.0
    for i in range(x.size):
        from_mean = x[i] - average
        square = from_mean * from_mean
        second += square
        third += square * from_mean
        fourth += square * square
    second /= x.size
    skew = ratio(third / x.size, second * math.sqrt(second), 0.0)
    return skew, ratio(fourth / x.size, second * second, 3.0) - 3.0


@compiled
def _downside_share(log_return: Series) -> float:
    down = both = 0.0
    for i in range(log_return.size):
        square = log_return[i] * log_return[i]
        both += square
        if log_return[i] < 0.0:
            down += square
    return ratio(down, both, 0.5)


@compiled
def write_volatility(
    open_: Series,
    high: Series,
    low: Series,
    close: Series,
    log_return: Series,
    true_range: Series,
    unit: float,
    average_true_range: float,
    out: NDArray[np.float32],
) -> None:
    """Realised and range volatility, their ratios and the shape of the distribution of returns.

    `unit` is the standard deviation of the newest 72 log returns. Range estimators: Parkinson 1980,
    Garman and Klass 1980, Rogers and Satchell 1991. True range: Wilder 1978. Share of falls:
    Barndorff-Nielsen, Kinnebrock and Shephard 2010.
    """
    vol_24 = deviation(log_return[-24:])
    out[0] = deviation(log_return[-20:])
    out[1] = log_ratio(deviation(log_return[-5:]), unit)
    out[2] = log_ratio(vol_24, deviation(log_return[-168:]))
    out[3] = _rank_24(log_return)
    out[4] = average_true_range / close[-1]
    out[5] = ratio(true_range[-1], average_true_range, 1.0)
    parkinson, garman_klass, rogers_satchell = _range_variances(
        open_[-24:], high[-24:], low[-24:], close[-24:]
    )
    out[6] = log_ratio(math.sqrt(parkinson), vol_24)
    out[7] = math.sqrt(garman_klass)
    out[8] = log_ratio(math.sqrt(rogers_satchell), vol_24)
    out[9] = _downside_share(log_return[-24:])
    out[10], out[11] = _higher_moments(log_return[-72:])
