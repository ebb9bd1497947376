"""Which rows make up the window that ends with a row?

A window is the rows of one symbol at consecutive bars, its own row the newest. Where a bar among them
gave no row, there is no window: nothing is stepped over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset


@dataclass(frozen=True)
class Windows:
    """The windows of a dataset over one feature set.

    `values` float32 (n, features) holds the rows symbol by symbol; the window that ends with row i of
    the dataset is `values[end[i] - n_steps + 1 : end[i] + 1]`, where `whole[i]`.
    """

    n_steps: int
    values: NDArray[np.float32]
    end: NDArray[np.int64]
    whole: NDArray[np.bool_]

    def only(self, rows: NDArray[np.int64]) -> Windows:
        """Those of `rows`, which are numbered from 0 on then."""
        return Windows(self.n_steps, self.values, self.end[rows], self.whole[rows])

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The windows (n, n_steps, features) that end with `rows`, all of them whole."""
        found: NDArray[np.float32] = self.values[self.end[rows, None] + np.arange(1 - self.n_steps, 1)]
        return found


def windows_over(dataset: Dataset, columns: NDArray[np.int64], n_steps: int, length_ms: int) -> Windows:
    """The windows of all rows of `dataset`, whose bars are `length_ms` long."""
    order = np.lexsort((dataset.known_from_ms, dataset.symbol))
    symbol, known_from_ms = dataset.symbol[order], dataset.known_from_ms[order]
    place = np.arange(order.size)
    follows = np.zeros(order.size, dtype=np.bool_)
    follows[1:] = (np.diff(known_from_ms) == length_ms) & (np.diff(symbol) == 0)
    run_start = np.maximum.accumulate(np.where(follows, 0, place))
    end = np.empty_like(place)
    end[order] = place
    whole = (place - run_start + 1 >= n_steps)[end]
    values = np.ascontiguousarray(dataset.rows[order][:, columns])
    return Windows(n_steps, values, end, whole)
