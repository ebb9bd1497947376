"""How is a boosted-tree model answered without its library?

The live process carries neither LightGBM nor XGBoost: their parsers can crash a process on a damaged
file, and one call costs several times the walk itself. A model file becomes flat arrays, checked once,
walked by one compiled function. The parity gate compares these answers with the library's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused

LEAF = -1


@dataclass(frozen=True)
class Trees:
    """Trees in flat arrays; a probability is `sigmoid(base + sum of the leaves reached)`.

    Node i is a leaf where `column[i] == LEAF`, worth `threshold[i]`. Elsewhere a row goes to `left[i]`
    if `row[column[i]] <= threshold[i]`, else to `right[i]`. Children stand after their parent, so that
    every walk ends. `roots[t]` is the first node of tree t.
    """

    column: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    base: float

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of "up" of each row; `rows` is (n, columns), C-contiguous, finite."""
        margin = _margins(
            rows, self.column, self.threshold, self.left, self.right, self.roots, self.base
        )
        probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-margin))
        return probability


@dataclass(frozen=True)
class Tree:
    """One tree as read from a model file: columns are the model's own, children are within the tree."""

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
    sizes = np.array([tree.column.size for tree in trees], dtype=np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if trees else np.zeros(0)
    remap = np.append(columns.astype(np.int32), LEAF)  # index LEAF, the last, stays LEAF
    return Trees(
        column=_joined([remap[tree.column] for tree in trees], np.int32),
        threshold=_joined([tree.threshold for tree in trees], np.float64),
        left=_joined([tree.left + root for tree, root in zip(trees, roots, strict=True)], np.int32),
        right=_joined([tree.right + root for tree, root in zip(trees, roots, strict=True)], np.int32),
        roots=roots.astype(np.int32),
        base=base,
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
    if not np.isfinite(tree.threshold).all():
        raise BundleRefused(file, f"finite numbers in tree {number}", "NaN or infinity")


@numba.njit(cache=True, nogil=True)
def _margins(rows, column, threshold, left, right, roots, base):  # type: ignore[no-untyped-def]
    margins = np.full(rows.shape[0], base)
    for root in roots:  # tree by tree: the nodes of one tree stay in the nearest cache for all rows
        for i in range(rows.shape[0]):
            node = root
            while column[node] != LEAF:
                node = left[node] if rows[i, column[node]] <= threshold[node] else right[node]
            margins[i] += threshold[node]
    return margins
