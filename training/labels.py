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


def label_regime(
    vol_rank: NDArray[np.float32],
    symbol: NDArray[np.int64],
    known_from_ms: NDArray[np.int64],
    ahead_ms: int,
) -> NDArray[np.float64]:
    """The third (0 to 2) that the volatility of each row's symbol ranks in `ahead_ms` later, (n,).

    `vol_rank` in [0, 1] is what each row says of the bars behind it. Rows are in time order. NaN where
    the symbol has no row at exactly that time.
    """
    later = np.full(vol_rank.size, np.nan)
    for number in np.unique(symbol):
        own = np.flatnonzero(symbol == number)
        known = known_from_ms[own]
        at = np.minimum(np.searchsorted(known, known + ahead_ms), own.size - 1)
        there = known[at] == known + ahead_ms
        later[own[there]] = vol_rank[own[at[there]]]
    return thirds(later)


def thirds(vol_rank: NDArray[np.floating]) -> NDArray[np.float64]:
    """The number of the third that each rank lies in, as `plugin.regime.regime_of` draws them; NaN for
    NaN."""
    numbers = (vol_rank >= 1 / 3).astype(np.float64) + (vol_rank >= 2 / 3)
    return np.where(np.isnan(vol_rank), np.nan, numbers)
