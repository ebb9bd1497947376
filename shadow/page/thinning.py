"""How are thousands of points drawn with a few hundred, without hiding a hole or an extreme?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Thinned(NamedTuple):
    """The points that are kept, each array (k,); those of the same `run` have no hole between them."""

    at: NDArray[np.int64]
    value: NDArray[np.float64]
    run: NDArray[np.int64]


def thinned(at: NDArray[np.int64], value: NDArray[np.float64], n_most: int = 600) -> Thinned:
    """Keep at most `n_most` points: of each of `n_most` / 2 equal stretches the lowest and the highest.

    `at` (n,) strictly rising, 1 from one bar to the next; `value` (n,), NaN where there is none. What
    is missing and what is NaN is a hole, and ends a run even where a stretch is longer than the hole.
    """
    known = np.flatnonzero(np.isfinite(value))
    at, value = at[known], value[known]
    run = np.cumsum(np.diff(at, prepend=at[:1]) > 1, dtype=np.int64)
    if at.size > n_most:
        stretch = (at - at[0]) * (n_most // 2) // (at[-1] - at[0] + 1)
        by_value = np.lexsort((value, stretch))
        ends = np.flatnonzero(np.diff(stretch[by_value], append=-1))
        begins = np.concatenate([[0], ends[:-1] + 1])
        kept = np.unique(by_value[np.concatenate([begins, ends])])
        at, value, run = at[kept], value[kept], run[kept]
    return Thinned(at, value, run)
