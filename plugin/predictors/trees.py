"""How is a boosted-tree model answered without its library?

The live process carries neither LightGBM nor XGBoost: their parsers can crash a process on a damaged
file, and one call costs several times the walk itself. A model file becomes flat arrays, checked once,
walked by one compiled function. The parity gate compares these answers with the library's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.features.compiled import compiled

LEAF = -1


@dataclass(frozen=True)
class Trees:
    """Trees in flat arrays; a probability is `sigmoid(base + sum of the leaves reached)`.

    From node i a row goes to `left[i]` if `row[column[i]] <= threshold[i]`, else to the node after
    that. A leaf leads back to itself, with a threshold of infinity, and is worth `value[i]`; so every
    step of a walk is the same, and one step too many does no harm. `roots` has the deepest tree first:
    step s is taken in the first `n_walking[s]` of them. `place[t]` is where tree t of the model stands.
    """

    column: NDArray[np.uint32]
    threshold: NDArray[np.float64]
    left: NDArray[np.uint32]
    value: NDArray[np.float64]
    roots: NDArray[np.uint32]
    n_walking: NDArray[np.int64]
    place: NDArray[np.uint32]
    base: float

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of "up" of each row; `rows` is (n, columns), C-contiguous, finite.

        The answer to a row has the same bits whatever stands beside it.
        """
        out = np.empty(rows.shape[0])
        _write_probabilities(
            rows,
            self.column,
            self.threshold,
            self.left,
            self.value,
            self.roots,
            self.n_walking,
            self.place,
            self.base,
            out,
        )
        return out


@dataclass(frozen=True)
class Tree:
    """One tree as read from a model file: columns are the model's own, children are within the tree.

    Node 0 is the root. Where `column` is LEAF, `threshold` is what the leaf is worth.
    """

    column: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]


def flatten(file: str, trees: Sequence[Tree], base: float, columns: NDArray[np.int64]) -> Trees:
    """Join `trees`; feature j of the model is column `columns[j]` of the rows that it will be asked.

    Raises BundleRefused where a node could lead a walk astray.
    """
    for number, tree in enumerate(trees):
        _check(file, number, tree, len(columns))
    levels = [_levels(tree) for tree in trees]
    n_steps = np.array([len(one) - 1 for one in levels], dtype=np.int64)
    sizes = np.array([sum(level.size for level in one) for one in levels], dtype=np.int64)
    roots = np.cumsum(sizes) - sizes
    laid = [_lay(*parts, columns) for parts in zip(trees, levels, roots.tolist(), strict=True)]
    deepest_first = np.argsort(-n_steps, kind="stable")
    return Trees(
        column=_joined([one[0] for one in laid], np.uint32),
        threshold=_joined([one[1] for one in laid], np.float64),
        left=_joined([one[2] for one in laid], np.uint32),
        value=_joined([one[3] for one in laid], np.float64),
        roots=roots[deepest_first].astype(np.uint32),
        n_walking=(n_steps[:, None] > np.arange(n_steps.max(initial=0))).sum(axis=0),
        place=np.argsort(deepest_first).astype(np.uint32),
        base=base,
    )


def _levels(tree: Tree) -> list[NDArray[np.int64]]:
    """The nodes of `tree` from the root down, the two children of a node side by side."""
    levels = [np.zeros(1, dtype=np.int64)]
    while (inner := levels[-1][tree.column[levels[-1]] != LEAF]).size:
        levels.append(np.column_stack([tree.left[inner], tree.right[inner]]).ravel())
    return levels


def _lay(
    tree: Tree, levels: list[NDArray[np.int64]], root: int, columns: NDArray[np.int64]
) -> tuple[NDArray[Any], ...]:
    """Column, threshold, left and value of the nodes of `tree`, whose root becomes node `root`."""
    order = np.concatenate(levels)
    number = np.zeros(tree.column.size, dtype=np.int64)
    number[order] = root + np.arange(order.size)
    leaf = tree.column[order] == LEAF
    worth = tree.threshold[order]
    return (
        np.where(leaf, 0, columns[tree.column[order]]),
        np.where(leaf, np.inf, worth),
        np.where(leaf, number[order], number[tree.left[order]]),
        np.where(leaf, worth, 0.0),
    )


def _joined(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.ascontiguousarray(np.concatenate(parts) if parts else np.zeros(0), dtype=dtype)


def _check(file: str, number: int, tree: Tree, n_columns: int) -> None:
    nodes = np.arange(tree.column.size)
    inner = tree.column != LEAF
    forward = (tree.left > nodes) & (tree.right > nodes)
    inside = (tree.left < nodes.size) & (tree.right < nodes.size)
    known = (tree.column >= 0) & (tree.column < n_columns)
    if nodes.size == 0 or not (forward & inside & known)[inner].all():
        raise BundleRefused(file, f"tree {number} with children after their parents", "a broken tree")
    # Shared children would make the walk longer at each of them, beyond all bounds.
    if np.bincount(np.append(tree.left[inner], tree.right[inner]), minlength=1).max() > 1:
        raise BundleRefused(file, f"tree {number} with one parent for each node", "a broken tree")
    if not np.isfinite(tree.threshold).all():
        raise BundleRefused(file, f"finite numbers in tree {number}", "NaN or infinity")


@compiled
def _write_probabilities(
    rows: NDArray[np.float32],
    column: NDArray[np.uint32],
    threshold: NDArray[np.float64],
    left: NDArray[np.uint32],
    value: NDArray[np.float64],
    roots: NDArray[np.uint32],
    n_walking: NDArray[np.int64],
    place: NDArray[np.uint32],
    base: float,
    out: NDArray[np.float64],
) -> None:
    # No branch depends on a row, and all trees are under way at once: the processor neither guesses
    # wrongly nor waits for memory. Unsigned node numbers spare numba the test for negative ones.
    node = np.empty(roots.size, np.uint32)
    for i in range(rows.shape[0]):
        row = rows[i]
        node[:] = roots
        for n in n_walking:
            for k in range(n):
                at = node[k]
                node[k] = left[at] + np.uint32(row[column[at]] > threshold[at])
        margin = base
        for k in place:  # in the order of the model: a sum has other bits in another order
            margin += value[node[k]]
        out[i] = 1.0 / (1.0 + math.exp(-margin))
