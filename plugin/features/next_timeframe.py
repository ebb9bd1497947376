"""What do the same bars say on the next longer timeframe?

Four bars make a longer one, on the UTC grid of the longer timeframe. Only complete longer bars count:
the newest is the last one whose fourth bar is in the window, the oldest the first one that is whole.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.oscillators import rsi
from plugin.features.primitives import (
    Series,
    deviation,
    highest,
    log_ratio,
    lowest,
    mean,
    position,
    ratio,
)
from plugin.features.weights import wilder_weights
from plugin.features.window import LOOKBACK_BARS

NAMES = (
    "longer_return_1",
    "longer_return_6",
    "longer_return_24",
    "longer_rsi_14",
    "longer_sma_distance_20",
    "longer_donchian_position_20",
    "longer_vol_ratio_6_48",
)

BARS_IN_LONGER = 4
# Whatever the phase of the newest bar, so many longer bars are complete.
_N_LONGER = LOOKBACK_BARS // BARS_IN_LONGER - 1
_WILDER_14 = wilder_weights(_N_LONGER - 1, 14)


@compiled
def bars_after_complete(open_time_ms: int, timeframe_ms: int) -> int:
    """How many bars (0 to 3) the newest bar lies after the end of the newest complete longer bar."""
    return (open_time_ms // timeframe_ms + 1) % BARS_IN_LONGER


@compiled
def write_next_timeframe(
    high: Series,
    low: Series,
    close: Series,
    log_close: Series,
    n_after: int,
    out: NDArray[np.float32],
) -> None:
    """Seven features of the longer bars; `n_after` newest bars belong to one that is not complete."""
    end = close.size - n_after
    first = end - BARS_IN_LONGER * _N_LONGER
    closes, logs = np.empty(_N_LONGER), np.empty(_N_LONGER)
    gain, loss, returns = np.empty(_N_LONGER - 1), np.empty(_N_LONGER - 1), np.empty(_N_LONGER - 1)
    for i in range(_N_LONGER):
        last = first + BARS_IN_LONGER * i + BARS_IN_LONGER - 1
        closes[i] = close[last]
        logs[i] = log_close[last]
    for i in range(_N_LONGER - 1):
        change = closes[i + 1] - closes[i]
        gain[i] = max(change, 0.0)
        loss[i] = max(-change, 0.0)
        returns[i] = logs[i + 1] - logs[i]
    unit = deviation(returns[-48:])
    for k, span in enumerate((1, 6, 24)):
        out[k] = ratio(logs[-1] - logs[-1 - span], unit * math.sqrt(span), 0.0)
    out[3] = rsi(gain, loss, _WILDER_14)
    out[4] = ratio(log_ratio(closes[-1], mean(closes[-20:])), unit * math.sqrt(20.0), 0.0)
    n_bars = 20 * BARS_IN_LONGER
    out[5] = position(closes[-1], lowest(low[end - n_bars : end]), highest(high[end - n_bars : end]))
    out[6] = log_ratio(deviation(returns[-6:]), unit)
