"""How much is traded, on which side, and how much does it move the price?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import (
    Series,
    correlation,
    deviation,
    line_fit,
    log_ratio,
    mean,
    ratio,
    total,
)

NAMES = (
    "volume_z_72",
    "volume_ratio_5_72",
    "signed_volume_5",
    "signed_volume_24",
    "obv_slope_24",
    "chaikin_money_flow_20",
    "amihud_ratio_12_96",
    "volume_return_correlation_48",
)


@compiled
def _signed_share(log_return: Series, volume: Series) -> float:
    signed = 0.0
    for i in range(volume.size):
        signed += volume[i] * np.sign(log_return[i])
    return ratio(signed, total(volume), 0.0)


@compiled
def _on_balance_slope(log_return: Series, volume: Series) -> float:
    on_balance = np.empty(volume.size)
    level = 0.0
    for i in range(volume.size):
        level += volume[i] * np.sign(log_return[i])
        on_balance[i] = level
    slope, _ = line_fit(on_balance)
    return ratio(slope, mean(volume), 0.0)


@compiled
def _chaikin(high: Series, low: Series, close: Series, volume: Series) -> float:
    flow = 0.0
    for i in range(volume.size):
        flow += volume[i] * ratio((close[i] - low[i]) - (high[i] - close[i]), high[i] - low[i], 0.0)
    return ratio(flow, total(volume), 0.0)


@compiled
def _illiquidity(log_return: Series, typical: Series, volume: Series) -> float:
    impact = 0.0
    n_traded = 0
    for i in range(volume.size):
        if volume[i] > 0.0:
            impact += abs(log_return[i]) / (typical[i] * volume[i])
            n_traded += 1
    return ratio(impact, n_traded, 0.0)


@compiled
def write_volume(
    high: Series,
    low: Series,
    close: Series,
    volume: Series,
    typical: Series,
    log_return: Series,
    out: NDArray[np.float32],
) -> None:
    """Volumes only as ratios and shares, so that their unit does not matter.

    Sign of a bar for its volume: after Lee and Ready 1991. On-balance volume: Granville 1963. Money
    flow: Chaikin. Illiquidity: Amihud 2002. Volume with returns: Karpoff 1987.
    """
    average = mean(volume[-72:])
    out[0] = ratio(volume[-1] - average, deviation(volume[-72:]), 0.0)
    out[1] = log_ratio(mean(volume[-5:]), average)
    out[2] = _signed_share(log_return[-5:], volume[-5:])
    out[3] = _signed_share(log_return[-24:], volume[-24:])
    out[4] = _on_balance_slope(log_return[-24:], volume[-24:])
    out[5] = _chaikin(high[-20:], low[-20:], close[-20:], volume[-20:])
    out[6] = log_ratio(
        _illiquidity(log_return[-12:], typical[-12:], volume[-12:]),
        _illiquidity(log_return[-96:], typical[-96:], volume[-96:]),
    )
    out[7] = correlation(log_return[-48:], volume[-48:])
