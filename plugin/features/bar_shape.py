"""Where inside the newest bars did prices go and end?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, ratio

NAMES = (
    "body",
    "upper_wick",
    "lower_wick",
    "close_location",
    "close_location_5",
    "wick_balance_24",
)


@compiled
def _close_location(high: float, low: float, close: float) -> float:
    return ratio((close - low) - (high - close), high - low, 0.0)


@compiled
def write_bar_shape(
    open_: Series, high: Series, low: Series, close: Series, out: NDArray[np.float32]
) -> None:
    """Body and wicks as shares of the range of the bar; 0 where a bar has no range.

    The location of the close in the range is the multiplier of accumulation/distribution (Chaikin).
    """
    span = high[-1] - low[-1]
    out[0] = ratio(close[-1] - open_[-1], span, 0.0)
    out[1] = ratio(high[-1] - max(open_[-1], close[-1]), span, 0.0)
    out[2] = ratio(min(open_[-1], close[-1]) - low[-1], span, 0.0)
    out[3] = _close_location(high[-1], low[-1], close[-1])
    location = 0.0
    for i in range(close.size - 5, close.size):
        location += _close_location(high[i], low[i], close[i])
    out[4] = location / 5.0
    upper = lower = spans = 0.0
    for i in range(close.size - 24, close.size):
        upper += high[i] - max(open_[i], close[i])
        lower += min(open_[i], close[i]) - low[i]
        spans += high[i] - low[i]
    out[5] = ratio(lower - upper, spans, 0.0)
