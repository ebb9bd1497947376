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
from plugin.features.compiled import cache_folder
from plugin.features.joined import N_COMPANIONS, ROW_NAMES, lookback_of, write_joined_row
from plugin.meta_kinds import LogisticModel, NetworkModel, Volatility, write_half_of_difference
from plugin.meta_model import meta_inputs
from plugin.predictors.trees import LEAF, Tree, flatten

_HOUR_MS = 3_600_000
_N_BARS = lookback_of(len(ROW_NAMES))


def compile_kernels() -> None:
    """Ask every kernel once, with arguments of the types that it is asked with live."""
    window = _bars(), _N_BARS - 1
    rows = np.empty((1, len(ROW_NAMES)), dtype=np.float32)
    refusal = write_joined_row(window, [window] * N_COMPANIONS, 0, _HOUR_MS, rows[0])
    if refusal:
        raise AssertionError(f"made-up bars were refused: {refusal}")
    stump = Tree(*(np.array([value]) for value in (LEAF, 0.5, 0, 0)))
    said = flatten("", [stump], 0.0, np.arange(len(ROW_NAMES))).probability(rows)
    inputs, volatility = meta_inputs(said[np.newaxis], rows[:, 0]), Volatility(0.0, 1.0)
    LogisticModel((1.0,), volatility, 0.0).probability(inputs)
    NetworkModel(1.0, volatility, ((1.0, 0.0, 0.0),), (1.0,)).probability(inputs)
    write_half_of_difference(said, said)


def _bars() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The longest window, (6, 8192), of an uneventful market."""
    close = 100.0 + np.sin(np.arange(_N_BARS) * 0.7)
    bars = np.zeros((N_ROWS, _N_BARS))
    bars[:5] = close + 0.1, close + 1.0, close - 1.0, close, np.full_like(close, 10.0)
    return bars


if __name__ == "__main__":
    compile_kernels()
    sys.stdout.write(f"{sum(1 for _ in cache_folder().rglob('*.nbc'))} kernels in {cache_folder()}\n")
