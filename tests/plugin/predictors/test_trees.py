"""Flat trees are walked as they were drawn, and what could lead a walk astray is refused."""

import math

import numpy as np
import pytest

from plugin.errors import BundleRefused
from plugin.predictors.trees import LEAF, Tree, Trees, flatten

INF = math.inf


def tree(*nodes: tuple[int, float, int, int]) -> Tree:
    """Nodes as (column, threshold or worth, left, right)."""
    column, threshold, left, right = zip(*nodes, strict=True)
    return Tree(np.array(column), np.array(threshold, dtype=float), np.array(left), np.array(right))


def leaf(worth: float) -> tuple[int, float, int, int]:
    return LEAF, worth, 0, 0


STUMP = tree((0, 0.5, 1, 2), leaf(-1.0), leaf(2.0))
DEEP = tree(
    (1, 0.0, 1, 2), leaf(0.25), (0, 1.0, 3, 4), leaf(0.5), (1, 3.0, 5, 6), leaf(8.0), leaf(-8.0)
)
ALONE = tree(leaf(0.125))


def flat(*trees: Tree, base: float = 0.0) -> Trees:
    return flatten("any.txt", trees, base, np.arange(2))


def margins(trees: Trees, *rows: tuple[float, float]) -> list[float]:
    p = trees.probability(np.array(rows, dtype=np.float32))
    return [round(math.log(one / (1.0 - one)), 9) for one in p.tolist()]


def test_a_row_on_the_threshold_goes_to_the_left() -> None:
    beside = [float(np.nextafter(np.float32(0.5), np.float32(side))) for side in (-INF, INF)]
    assert margins(flat(STUMP), (0.5, 0), (beside[0], 0), (beside[1], 0)) == [-1.0, -1.0, 2.0]


def test_every_leaf_of_a_deep_tree_is_reached() -> None:
    rows = [(9, -1), (1, 1), (2, 3), (2, 4)]
    assert margins(flat(DEEP), *rows) == [0.25, 0.5, 8.0, -8.0]


def test_trees_of_all_depths_are_added_to_the_base() -> None:
    together = flat(ALONE, DEEP, STUMP, ALONE, base=0.5)
    assert margins(together, (2, 3), (0, -1)) == [0.5 + 0.25 + 8.0 + 2.0, 0.5 + 0.25 + 0.25 - 1.0]


def test_zeros_of_both_signs_are_one_number() -> None:
    assert margins(flat(tree((0, 0.0, 1, 2), leaf(1.0), leaf(2.0))), (0.0, 0), (-0.0, 0)) == [1.0, 1.0]


@pytest.mark.parametrize("base", [-1e6, -800.0, 800.0, 1e6])
def test_a_margin_beyond_all_bounds_is_certainty_and_no_warning(base: float) -> None:
    with np.errstate(all="raise"):
        said = flat(ALONE, base=base).probability(np.zeros((3, 2), dtype=np.float32))
    assert said.tolist() == [float(base > 0)] * 3


@pytest.mark.parametrize("n", [1, 2, 50, 333])
def test_many_rows_are_answered_as_one_by_one_to_the_last_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    trees = flat(
        *(tree((0, t, 1, 2), leaf(t / 7), leaf(-t / 3)) for t in rng.standard_normal(60)), DEEP
    )
    rows = rng.standard_normal((n, 2)).astype(np.float32)
    alone = [float(trees.probability(row[None])[0]) for row in rows]
    assert trees.probability(rows).tolist() == alone


BROKEN = {
    "no node": Tree(*(np.zeros(0, dtype=int) for _ in range(4))),
    "a node that is its own child": tree((0, 0.5, 0, 1), leaf(1.0)),
    "a child before its parent": tree((0, 0.5, 1, 2), (0, 0.1, 2, 0), leaf(1.0)),
    "a child that is not there": tree((0, 0.5, 1, 3), leaf(1.0), leaf(2.0)),
    "a child below the first node": tree((0, 0.5, -1, 1), leaf(1.0)),
    "one child on both sides": tree((0, 0.5, 1, 1), leaf(1.0)),
    "two parents of one node": tree((0, 0.5, 1, 2), (1, 0.5, 2, 3), leaf(1.0), leaf(2.0)),
    "a column that is not there": tree((2, 0.5, 1, 2), leaf(1.0), leaf(2.0)),
    "a column below the first": tree((-2, 0.5, 1, 2), leaf(1.0), leaf(2.0)),
    "a threshold that is no number": tree((0, math.nan, 1, 2), leaf(1.0), leaf(2.0)),
    "a leaf beyond all numbers": tree((0, 0.5, 1, 2), leaf(INF), leaf(2.0)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_tree_that_could_lead_astray_is_refused(fault: str) -> None:
    with pytest.raises(BundleRefused, match=r"^any\.txt: .*tree 1"):
        flat(STUMP, BROKEN[fault])


def test_a_ladder_of_shared_children_is_refused_at_once() -> None:
    """Unrolled it would have more than a million million nodes."""
    ladder = [(0, 0.5, at + 1, at + 1) for at in range(40)]
    with pytest.raises(BundleRefused, match="broken tree"):
        flat(tree(*ladder, leaf(1.0)))
