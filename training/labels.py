"""What happened after each bar? The only use of future bars in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, Candles


@dataclass(frozen=True)
class Labels:
    """The label of every bar at one horizon, aligned to the columns of the candles.

    `up` is 1.0 where the close `horizon` bars later is above the bar's own, 0.0 where it is not, NaN
    where one of the two bars is absent or not there yet. `label_end_ms` is the close time of that later
    bar, `forward_return` the log return between the two closes.
    """

    horizon: int
    up: NDArray[np.float64]
    forward_return: NDArray[np.float64]
    label_end_ms: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.up)


def label_direction(candles: Candles, horizon: int) -> Labels:
    """Label each bar with the direction of the next `horizon` bars (at least 1)."""
    if horizon < 1:
        raise ValueError(f"expected a horizon of at least one bar, was {horizon}")
    close = np.where(candles.bars[ABSENT] == 1.0, np.nan, candles.bars[CLOSE])
    later = np.full_like(close, np.nan)
    later[:-horizon] = close[horizon:]
    forward_return = np.log(later) - np.log(close)
    return Labels(
        horizon=horizon,
        up=np.where(np.isnan(forward_return), np.nan, (later > close).astype(np.float64)),
        forward_return=forward_return,
        label_end_ms=candles.open_time_ms + (horizon + 1) * candles.timeframe.length_ms,
    )
