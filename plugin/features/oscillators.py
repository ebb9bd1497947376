"""Where does the price stand between overbought and oversold?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import (
    Series,
    deviation,
    dot,
    highest,
    lowest,
    mean,
    position,
    ratio,
)
from plugin.features.weights import wilder_weights
from plugin.features.window import LOOKBACK_BARS

NAMES = (
    "rsi_7",
    "rsi_14",
    "rsi_28",
    "stochastic_14_3",
    "cci_20",
    "mfi_14",
    "bollinger_position_20",
    "bollinger_width_20",
    "donchian_position_24",
    "donchian_position_72",
    "donchian_position_168",
)

_ROUNDING = 1e-12
_WILDER_7 = wilder_weights(LOOKBACK_BARS - 1, 7)
_WILDER_14 = wilder_weights(LOOKBACK_BARS - 1, 14)
_WILDER_28 = wilder_weights(LOOKBACK_BARS - 1, 28)


@compiled
def rsi(gain: Series, loss: Series, weights: Series) -> float:
    """Wilder's relative strength index, 0 to 100; 50 where the close never moved."""
    gained = dot(weights, gain)
    return 100.0 * ratio(gained, gained + dot(weights, loss), 0.5)


@compiled
def _stochastic(high: Series, low: Series, close: Series) -> float:
    average = 0.0
    for end in range(close.size - 2, close.size + 1):
        bottom, top = lowest(low[end - 14 : end]), highest(high[end - 14 : end])
        average += position(close[end - 1], bottom, top)
    return 100.0 * average / 3.0


@compiled
def _commodity_channel(typical: Series, span: int) -> float:
    newest = typical[-span:]
    average = mean(newest)
    spread = 0.0
    for i in range(span):
        spread += abs(newest[i] - average)
    return ratio(typical[-1] - average, 0.015 * spread / span, 0.0)


@compiled
def _money_flow(typical: Series, volume: Series, span: int) -> float:
    up = down = 0.0
    for i in range(typical.size - span, typical.size):
        flow = typical[i] * volume[i]
        change = typical[i] - typical[i - 1]
        # Typical prices that are equal on paper may differ in the last bit: that is no move.
        if change > _ROUNDING * typical[i]:
            up += flow
        elif change < -_ROUNDING * typical[i]:
            down += flow
    return 100.0 * ratio(up, up + down, 0.5)


@compiled
def write_oscillators(
    high: Series,
    low: Series,
    close: Series,
    volume: Series,
    typical: Series,
    gain: Series,
    loss: Series,
    out: NDArray[np.float32],
) -> None:
    """The textbook oscillators in their textbook units, and positions (0 to 1) in ranges.

    RSI: Wilder 1978. Stochastic: Lane 1984. CCI: Lambert 1980. MFI: Quong and Soudack 1989. Bands:
    Bollinger 2001. Channels: Donchian 1960.
    """
    out[0] = rsi(gain[1:], loss[1:], _WILDER_7)
    out[1] = rsi(gain[1:], loss[1:], _WILDER_14)
    out[2] = rsi(gain[1:], loss[1:], _WILDER_28)
    out[3] = _stochastic(high, low, close)
    out[4] = _commodity_channel(typical, 20)
    out[5] = _money_flow(typical, volume, 14)
    middle, width = mean(close[-20:]), 2.0 * deviation(close[-20:])
    out[6] = position(close[-1], middle - width, middle + width)
    out[7] = 2.0 * width / middle
    bottom, top, n_seen = low[-1], high[-1], 0
    for k, span in enumerate((24, 72, 168)):
        newer = close.size - n_seen
        bottom = min(bottom, lowest(low[close.size - span : newer]))
        top = max(top, highest(high[close.size - span : newer]))
        n_seen = span
        out[8 + k] = position(close[-1], bottom, top)
