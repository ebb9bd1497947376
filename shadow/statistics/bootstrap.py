"""Between which values does a figure lie that has no formula, when rows depend on their neighbours?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from shadow.statistics.overlap import Floats, Integers

_LEVELS = (0.025, 0.975)
_ROWS_AT_ONCE = 2_000_000
MIN_BLOCKS = 10
"""With fewer blocks in a sample, resamples show too little of what could have come."""


def mean_block_bars(n: int, overlap_bars: int) -> int:
    """The mean length of a block: n^(1/3), the rate that is best for a mean, and twice the overlap at
    least (Hall, Horowitz and Jing, Biometrika 1995)."""
    return max(2 * overlap_bars, round(math.cbrt(n)))


def block_bootstrap(
    values: ArrayLike,
    statistic: Callable[[Floats], Floats],
    overlap_bars: int,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % percentile interval of `statistic` by the stationary bootstrap.

    `values` (n,) in time order. `statistic` maps resamples (m, n) to their figures (m,). Blocks have
    geometric lengths with the mean of `mean_block_bars` and wrap around (Politis and Romano, Journal of
    the American Statistical Association 1994). NaN where a value is not finite or there are fewer than
    MIN_BLOCKS blocks.
    """
    rows = np.asarray(values, dtype=np.float64)
    block_bars = mean_block_bars(rows.size, overlap_bars)
    if not np.isfinite(rows).all() or rows.size < MIN_BLOCKS * block_bars:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    figures: list[Floats] = []
    at_once = max(1, _ROWS_AT_ONCE // rows.size)
    for done in range(0, n_resamples, at_once):
        places = _places(rows.size, block_bars, min(at_once, n_resamples - done), random)
        figures.append(np.asarray(statistic(rows[places]), dtype=np.float64))
    low, high = np.quantile(np.concatenate(figures), _LEVELS)
    return float(low), float(high)


def _places(n: int, block_bars: int, n_resamples: int, random: np.random.Generator) -> Integers:
    """Rows to take (n_resamples, n): blocks that begin anywhere, one after the other."""
    n_blocks = n // block_bars + 1
    lengths = random.geometric(1.0 / block_bars, (n_resamples, n_blocks))
    while lengths.sum(axis=1).min() < n:  # seldom more than twice
        lengths = np.hstack([lengths, random.geometric(1.0 / block_bars, (n_resamples, n_blocks))])
    ends = np.minimum(lengths.cumsum(axis=1), n)
    taken = np.diff(ends, prepend=0, axis=1)
    # What has to be added to the place in the resample to reach the row: the same all over a block.
    shift = random.integers(0, n, lengths.shape) - (ends - taken)
    places = np.repeat(shift.ravel(), taken.ravel()).reshape(n_resamples, n) + np.arange(n)
    # A block begins below n and is at most n long. Without the division that a remainder takes.
    places[places >= n] -= n
    return places
