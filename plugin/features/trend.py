"""Which way do prices lean, how steadily, and how far are they from their averages?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, dot, line_fit, log_ratio, mean, ratio, total
from plugin.features.weights import ema_weights, smoothed
from plugin.features.window import LOOKBACK_BARS

NAMES = (
    "sma_distance_6",
    "sma_distance_24",
    "sma_distance_72",
    "sma_distance_200",
    "vwap_distance_24",
    "vwap_distance_168",
    "macd_12_26",
    "macd_histogram_12_26_9",
    "adx_14",
    "di_balance_14",
    "aroon_25",
    "efficiency_ratio_24",
    "slope_24",
    "slope_96",
    "r2_24",
)

_MACD = ema_weights(LOOKBACK_BARS, 12) - ema_weights(LOOKBACK_BARS, 26)
_MACD_SIGNAL = smoothed(_MACD, 9)
_WILDER_STEP = 1.0 / 14.0


@compiled
def _directional_movement(high: Series, low: Series) -> tuple[float, float]:
    # The true range cancels in both results, so it is left out. Wilder's sums are seeded by the first
    # 13 movements and the ADX by the first 14 indices, as in TA-Lib.
    keep = 1.0 - _WILDER_STEP
    plus = minus = adx = balance = 0.0
    for i in range(1, high.size):
        up = high[i] - high[i - 1]
        down = low[i - 1] - low[i]
        step_plus = up if up > down and up > 0.0 else 0.0
        step_minus = down if down > up and down > 0.0 else 0.0
        if i < 14:
            plus += step_plus
            minus += step_minus
            continue
        plus = plus * keep + step_plus
        minus = minus * keep + step_minus
        balance = ratio(plus - minus, plus + minus, 0.0)
        if i < 28:
            adx += abs(balance) * _WILDER_STEP
        else:
            adx = adx * keep + abs(balance) * _WILDER_STEP
    return 100.0 * adx, balance


@compiled
def _aroon(high: Series, low: Series, span: int) -> float:
    first = high.size - 1 - span
    top = bottom = first
    for i in range(first + 1, high.size):
        if high[i] >= high[top]:
            top = i
        if low[i] <= low[bottom]:
            bottom = i
    return 100.0 * (top - bottom) / span


@compiled
def _efficiency(close: Series, span: int) -> float:
    path = 0.0
    for i in range(close.size - span, close.size):
        path += abs(close[i] - close[i - 1])
    return ratio(close[-1] - close[-1 - span], path, 0.0)


@compiled
def write_trend(
    high: Series,
    low: Series,
    close: Series,
    volume: Series,
    typical: Series,
    log_close: Series,
    unit: float,
    average_true_range: float,
    out: NDArray[np.float32],
) -> None:
    """Distances in units of the volatility of one bar (`unit`), MACD in units of the ATR.

    Rules on averages: Brock, Lakonishok and LeBaron 1992. VWAP: Berkowitz, Logue and Noser 1988. MACD:
    Appel 1979. ADX and DI: Wilder 1978. Aroon: Chande 1995. Efficiency ratio: Kaufman 1995.
    """
    for k, span in enumerate((6, 24, 72, 200)):
        average = mean(close[-span:])
        out[k] = ratio(log_ratio(close[-1], average), unit * math.sqrt(span), 0.0)
    for k, span in enumerate((24, 168)):
        traded = dot(typical[-span:], volume[-span:])
        average = ratio(traded, total(volume[-span:]), close[-1])
        out[4 + k] = ratio(log_ratio(close[-1], average), unit * math.sqrt(span), 0.0)
    macd = dot(_MACD, close)
    out[6] = ratio(macd, average_true_range, 0.0)
    out[7] = ratio(macd - dot(_MACD_SIGNAL, close), average_true_range, 0.0)
    out[8], out[9] = _directional_movement(high, low)
    out[10] = _aroon(high, low, 25)
    out[11] = _efficiency(close, 24)
    slope_24, r2_24 = line_fit(log_close[-24:])
    slope_96, _ = line_fit(log_close[-96:])
    out[12] = ratio(slope_24 * math.sqrt(24.0), unit, 0.0)
    out[13] = ratio(slope_96 * math.sqrt(96.0), unit, 0.0)
    out[14] = r2_24
