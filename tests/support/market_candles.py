"""Real candles for tests that are marked `market`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from plugin.bar import Timeframe
from plugin.candles import Candles, on_grid

_COLUMNS = ("open", "high", "low", "close", "volume")


def load_candles(
    market: Path, pair: str, venue: str = "binance_spot", timeframe: str = "1h"
) -> Candles:
    """All bars of a pair such as `BTC-USDT` on their grid, absent bars marked."""
    table = pq.read_table(market / venue / timeframe / f"{pair}.parquet")
    ohlcv = np.array([table[name].to_numpy() for name in _COLUMNS])
    return on_grid(pair, Timeframe.parse(timeframe), table["ts"].to_numpy(), ohlcv)
