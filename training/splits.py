"""Which rows may a model learn from, if it is to be judged on a later block?

Every split in this project is made here. A label over h bars reaches h bars ahead, so that a training
row just before a test block already knows a part of it: such rows are purged (M. López de Prado,
"Advances in Financial Machine Learning", 2018, chapter 7). An embargo widens the test block, because
neighbouring rows are alike beyond their labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plugin.errors import WrongUse


@dataclass(frozen=True)
class Fold:
    """One step of a walk-forward; the test block is `[test_start_ms, test_end_ms)` by bar close time.

    `train` and `test` are row numbers, in time order.
    """

    number: int
    test_start_ms: int
    test_end_ms: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def walk_forward(
    known_from_ms: NDArray[np.int64],
    label_end_ms: NDArray[np.int64],
    boundaries_ms: list[int],
    embargo_ms: int,
) -> list[Fold]:
    """Expanding walk-forward: train on all that lies before a block, test on the block.

    `known_from_ms` (n,) is the close time of each row's bar, rising; `label_end_ms` (n,) the close time
    of the last bar that its label uses. Block k is `[boundaries_ms[k], boundaries_ms[k + 1])`. Raises
    WrongUse where rows are unordered or a fold has no rows on one side.
    """
    _check_order(known_from_ms)
    folds = []
    for number, (start_ms, end_ms) in enumerate(pairwise(boundaries_ms)):
        block = (known_from_ms >= start_ms) & (known_from_ms < end_ms)
        earlier = (known_from_ms < start_ms) & apart(
            known_from_ms, label_end_ms, start_ms, end_ms, embargo_ms
        )
        if not earlier.any() or not block.any():
            raise WrongUse(
                "rows to train on and rows to test on in every fold",
                f"{int(earlier.sum())} and {int(block.sum())} in fold {number}",
                "use a longer history or fewer folds",
            )
        folds.append(Fold(number, start_ms, end_ms, np.flatnonzero(earlier), np.flatnonzero(block)))
    return folds


def chronological(
    known_from_ms: NDArray[np.int64],
    label_end_ms: NDArray[np.int64],
    shares: tuple[float, float, float],
    embargo_ms: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """One cut in three: rows to train on, rows to stop by, rows to test on, in time order.

    Times as in `walk_forward`. `shares` of the rows add up to 1; rows of one time stay together. What
    reaches into the next block or the embargo before it is left out. Raises WrongUse where rows are
    unordered, the shares are none, or a block has no rows.
    """
    _check_order(known_from_ms)
    if min(shares) <= 0.0 or not math.isclose(sum(shares), 1.0):
        raise WrongUse("three shares above 0 that add up to 1", shares, "such as 0.7, 0.15 and 0.15")
    n_rows = known_from_ms.size
    first = [min(round(n_rows * share), n_rows - 1) for share in (shares[0], shares[0] + shares[1])]
    starts_ms = [int(known_from_ms[row]) for row in first] if n_rows else [0, 0]
    block = np.searchsorted(starts_ms, known_from_ms, side="right")
    end_ms = int(known_from_ms[-1]) + 1 if n_rows else 0
    train, validation = (
        np.flatnonzero(
            (block == number) & apart(known_from_ms, label_end_ms, start_ms, end_ms, embargo_ms)
        )
        for number, start_ms in enumerate(starts_ms)
    )
    test = np.flatnonzero(block == 2)
    if not (train.size and validation.size and test.size):
        was = f"{train.size}, {validation.size} and {test.size}"
        raise WrongUse("rows to train on, to stop by and to test on", was, "use a longer history")
    return train, validation, test


def held_back(
    known_from_ms: NDArray[np.int64],
    label_end_ms: NDArray[np.int64],
    rows: NDArray[np.int64],
    share: float,
    embargo_ms: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the training rows numbered `rows`, the earlier ones to learn from and the last to stop by.

    The last `share` of them is held back; what reaches into it, or the embargo before it, is left out.
    Raises WrongUse where nothing is left on one side.
    """
    start_ms = int(known_from_ms[rows[round((rows.size - 1) * (1.0 - share))]])
    (fold,) = walk_forward(
        known_from_ms[rows],
        label_end_ms[rows],
        [start_ms, int(known_from_ms[rows[-1]]) + 1],
        embargo_ms,
    )
    return rows[fold.train], rows[fold.test]


def apart(
    known_from_ms: NDArray[np.int64],
    label_end_ms: NDArray[np.int64],
    test_start_ms: int,
    test_end_ms: int,
    embargo_ms: int,
) -> NDArray[np.bool_]:
    """True for each row whose `[known_from, label_end]` is clear of the test block and its embargo."""
    before = label_end_ms + embargo_ms < test_start_ms
    after = known_from_ms > test_end_ms + embargo_ms
    separate: NDArray[np.bool_] = before | after
    return separate


def fold_boundaries(first_test_ms: int, end_ms: int, n_folds: int, length_ms: int) -> list[int]:
    """`n_folds + 1` times on the grid of the bars that cut `[first_test_ms, end_ms)` into equal blocks.

    Raises WrongUse where a block would be empty.
    """
    n_bars = (end_ms - first_test_ms) // length_ms
    if n_folds < 1 or n_bars < n_folds:
        raise WrongUse(
            f"at least one bar in each of {n_folds} test blocks",
            f"{max(n_bars, 0)} bars after the first training block",
            "use a longer history or fewer folds",
        )
    return [first_test_ms + n_bars * fold // n_folds * length_ms for fold in range(n_folds)] + [end_ms]


def _check_order(known_from_ms: NDArray[np.int64]) -> None:
    if (np.diff(known_from_ms) < 0).any():
        raise WrongUse("rows in time order", "unordered rows", "sort them by close time")
