"""How much memory does a process need that serves one symbol, or a thousand?"""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from tests.benchmarks.child import LiveMemory, run_child
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import table_of


def measure(setting: Setting) -> dict[int, LiveMemory]:
    """The smallest and the largest number of symbols of the scale."""
    root, bundle = str(setting.market.root), str(setting.bundle)
    sizes = sorted(setting.scale.hot_bars)
    return {n: run_child("live", [root, bundle, str(n)], LiveMemory) for n in (sizes[0], sizes[-1])}


def tables(by_size: dict[int, LiveMemory]) -> Iterator[Table]:
    """One row a size."""
    rows = [(f"{n:,}", f"{memory.peak_mib:.0f} MiB") for n, memory in by_size.items()]
    yield table_of("Peak resident memory of a live process", ("symbols", ""), rows)
