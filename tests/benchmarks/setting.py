"""How large are the benchmarks, and what do they share?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.market import Market


@dataclass(frozen=True)
class Scale:
    """`hot_bars` is the number of bars closed in a loop, by the number of symbols."""

    hot_bars: Mapping[int, int]
    n_cold: int
    idle_s: float
    history_bars: int
    history_repeats: int
    n_records: int
    n_recorded_symbols: int
    with_compilation: bool


FULL = Scale(
    hot_bars={1: 500, 10: 200, 100: 60, 1000: 20},
    n_cold=10,
    idle_s=1.0,
    history_bars=50_000,
    history_repeats=3,
    n_records=1_000_000,
    n_recorded_symbols=100,
    with_compilation=True,
)
QUICK = Scale(
    hot_bars={1: 5, 10: 3},
    n_cold=2,
    idle_s=0.01,
    history_bars=1_000,
    history_repeats=1,
    n_records=2_000,
    n_recorded_symbols=10,
    with_compilation=False,
)


@dataclass(frozen=True)
class Setting:
    """What every benchmark gets. `scratch` is a folder of its own, emptied afterwards."""

    market: Market
    bundle: Path
    scratch: Path
    scale: Scale
