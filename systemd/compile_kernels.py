"""How does the machine code of the features get there before the live process needs it?

Run by install.sh as the user of the service, with its NUMBA_CACHE_DIR. Compiling takes 15 s and leaves
a process at twice its size; one that finds the code compiled is ready within a second, and stays small.
The machine code is for this processor, this path and these files; after a change of any of them the
process that tries a bundle compiles anew.
"""

from __future__ import annotations

import sys

import numpy as np

from plugin.candles import N_ROWS
from plugin.features import LOOKBACK_BARS
from plugin.features.compiled import cache_folder
from plugin.features.joined import N_COMPANIONS, ROW_NAMES, write_joined_row
from plugin.meta_model import LogisticModel, Volatility, meta_inputs
from plugin.predictors.trees import LEAF, Tree, flatten

_HOUR_MS = 3_600_000


def compile_kernels() -> None:
    """Ask every kernel once, with arguments of the types that it is asked with live."""
    window = _bars(), LOOKBACK_BARS - 1
    rows = np.empty((1, len(ROW_NAMES)), dtype=np.float32)
    refusal = write_joined_row(window, [window] * N_COMPANIONS, 0, _HOUR_MS, rows[0])
    if refusal:
        raise AssertionError(f"made-up bars were refused: {refusal}")
    stump = Tree(*(np.array([value]) for value in (LEAF, 0.5, 0, 0)))
    said = flatten("", [stump], 0.0, np.arange(len(ROW_NAMES))).probability(rows)
    logistic = LogisticModel(weights=(1.0,), volatility=Volatility(0.0, 1.0, 0.0))
    logistic.probability(meta_inputs(said[np.newaxis], rows[:, 0]))


def _bars() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A window (6, 512) of an uneventful market."""
    close = 100.0 + np.sin(np.arange(LOOKBACK_BARS) * 0.7)
    bars = np.zeros((N_ROWS, LOOKBACK_BARS))
    bars[:5] = close + 0.1, close + 1.0, close - 1.0, close, np.full_like(close, 10.0)
    return bars


if __name__ == "__main__":
    compile_kernels()
    sys.stdout.write(f"{sum(1 for _ in cache_folder().rglob('*.nbc'))} kernels in {cache_folder()}\n")
