"""Bars with another future, to see who looks at it."""

from collections.abc import Mapping

import numpy as np

from plugin.candles import Candles


def altered(candles: Mapping[str, Candles], since_ms: int) -> dict[str, Candles]:
    """Bars that open at or after `since_ms` go another way: every price is mirrored."""
    changed = {}
    for name, own in candles.items():
        bars, later = own.bars.copy(), own.open_time_ms >= since_ms
        base = bars[3, later][0]
        opening, high, low, close = bars[:4, later]
        bars[:4, later] = base * base / np.array([opening, low, high, close])
        changed[name] = Candles(own.symbol, own.timeframe, own.first_open_ms, bars)
    return changed
