"""Small sound hourly bars for tests, and a writer that writes even what is not sound."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugin.candle_store import COLUMNS, RawBars

HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01


def raw_bars(n_bars: int, seed: int = 1) -> RawBars:
    """`n_bars` hourly bars from START_MS on, prices with two decimals as exchanges send them."""
    random = np.random.default_rng(seed)
    close = np.round(100 + np.cumsum(random.normal(0, 0.2, n_bars)), 2)
    open_ = np.concatenate([[100.0], close[:-1]])
    high = np.round(np.maximum(open_, close) + random.uniform(0.01, 0.5, n_bars), 2)
    low = np.round(np.minimum(open_, close) - random.uniform(0.01, 0.5, n_bars), 2)
    volume = np.round(random.lognormal(3, 0.5, n_bars), 3)
    time_ms = START_MS + HOUR_MS * np.arange(n_bars, dtype=np.int64)
    return RawBars(time_ms, np.stack([open_, high, low, close, volume]))


def write_raw(path: Path, bars: RawBars) -> None:
    """Write rows as they are, without any check."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [pa.array(bars.open_time_ms), *(pa.array(row) for row in bars.ohlcv)]
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path)
