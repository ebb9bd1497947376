"""How fast do features of a whole history come, and what does the first call of a process cost?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from rich.table import Table

from plugin.candles import Candles
from plugin.features import rows_of_history
from plugin.features.joined import joined_history
from tests.benchmarks.child import KernelStart, run_child
from tests.benchmarks.market import HOURLY
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import table_of
from tests.benchmarks.timing import duration_ns


class History(msgspec.Struct, frozen=True):
    """Medians over one symbol: its own 80 features, and all of a joined row with three companions.

    `cold` compiled every kernel, `cached` found them on disk; None where that was not measured.
    """

    n_bars: int
    own_s: float
    joined_s: float
    own_bars_per_s: float
    joined_bars_per_s: float
    cold: KernelStart | None
    cached: KernelStart | None


def measure(setting: Setting) -> History:
    """The newest bars of one symbol beside three others."""
    own, *companions = (_newest(setting, symbol) for symbol in setting.market.reference)
    rows_of_history(own.between(0, own.first_open_ms + 600 * HOURLY.length_ms))
    repeats = range(setting.scale.history_repeats)
    own_s = float(np.median([duration_ns(partial(rows_of_history, own)) for _ in repeats])) / 1e9
    joined = partial(joined_history, own, companions)
    joined_s = float(np.median([duration_ns(joined) for _ in repeats])) / 1e9
    cold, cached = _starts(setting) if setting.scale.with_compilation else (None, None)
    n_bars = own.n_bars
    return History(n_bars, own_s, joined_s, n_bars / own_s, n_bars / joined_s, cold, cached)


def _newest(setting: Setting, symbol: str) -> Candles:
    candles = setting.market.long(symbol)
    end_ms = candles.first_open_ms + candles.n_bars * HOURLY.length_ms
    return candles.between(end_ms - setting.scale.history_bars * HOURLY.length_ms, end_ms)


def _starts(setting: Setting) -> tuple[KernelStart, KernelStart]:
    """The first row in a process without a kernel cache, then in one that finds it."""
    with TemporaryDirectory(dir=setting.scratch) as cache:
        environment = {"NUMBA_CACHE_DIR": cache}
        first, second = (run_child("kernels", [], KernelStart, environment) for _ in range(2))
    return first, second


def tables(history: History) -> Iterator[Table]:
    """One row a figure."""
    rows = [
        ("own features", f"{history.own_s:.2f} s", f"{history.own_bars_per_s:,.0f} bars/s"),
        ("with companions", f"{history.joined_s:.2f} s", f"{history.joined_bars_per_s:,.0f} bars/s"),
    ]
    starts = {"compiled": history.cold, "cached": history.cached}
    for kernels, start in starts.items():
        if start is not None:
            after = f"after {start.import_s:.2f} s of imports"
            rows.append((f"first row, kernels {kernels}", f"{start.first_row_s:.2f} s", after))
    yield table_of(f"Features of {history.n_bars:,} bars", ("", "", ""), rows)
