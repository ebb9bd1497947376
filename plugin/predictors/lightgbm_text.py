"""How is a LightGBM model read from its text?

The format is what `Booster.save_model` writes: a head of `key=value` lines, then one block of them per
tree. Only what this project trains is accepted: one binary objective, numerical splits. A split sends
`value <= threshold` to the left, and a value within 1e-35 of zero is read as zero; inner node n is
numbered n, leaf k is written as `~k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.predictors.trees import LEAF, Tree, Trees, flatten

# `decision_type` of a numerical split where nothing or NaN counts as missing, and missing goes to the
# right or to the left: without NaN in a row all four say the same. Others are for categories or zeros.
_NUMERICAL = (0, 2, 8, 10)
_MAX_WORDS = 200
_READ_AS_ZERO = float(np.float32(1e-35))
_JUST_BELOW_ZERO = float(np.nextafter(-_READ_AS_ZERO, -np.inf))


def read_lightgbm(
    file: str, text: bytes, feature_names: Sequence[str], columns: NDArray[np.int64]
) -> Trees:
    """The trees of a model over `feature_names`; feature j stands in column `columns[j]` of the rows.

    Raises BundleRefused where the text is not such a model.
    """
    try:
        model, end, _ = text.decode("ascii").partition("\nend of trees")
        head, *blocks = model.split("\nTree=")
        _check_head(file, head, feature_names)
        numbers = [block.partition("\n")[0] for block in blocks]
        n_trees = len(_fields(head)["tree_sizes"].split())
        if not end or not blocks or numbers != [str(number) for number in range(n_trees)]:
            raise ValueError(f"{n_trees} trees and an end promised, {len(blocks)} trees found")
        trees = [_tree(file, _fields(block)) for block in blocks]
    except (ValueError, KeyError, OverflowError) as error:
        # In part: an error of decoding holds the whole text, one of a number all of its digits.
        was = f"{type(error).__name__}: {error}"[:_MAX_WORDS]
        raise BundleRefused(file, "a LightGBM model text", was) from error
    return flatten(file, trees, 0.0, columns)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _check_head(file: str, head: str, feature_names: Sequence[str]) -> None:
    if "\naverage_output" in head:
        raise ValueError("a random forest")
    fields = _fields(head)
    expected = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "objective": "binary sigmoid:1",
        "feature_names": " ".join(feature_names),
    }
    for key, value in expected.items():
        if fields.get(key) != value:
            raise BundleRefused(file, f"{key}={value[:60]}", str(fields.get(key))[:60])


def _tree(file: str, fields: dict[str, str]) -> Tree:
    n_leaves = int(fields["num_leaves"])
    leaves = _numbers(fields["leaf_value"], np.float64, n_leaves)
    n_inner = n_leaves - 1
    if n_inner == 0:
        nothing = np.zeros(1, dtype=np.int64)
        return Tree(nothing + LEAF, leaves, nothing, nothing)
    kinds = _numbers(fields["decision_type"], np.int64, n_inner)
    linear = fields.get("is_linear", "0") != "0"
    if fields["num_cat"] != "0" or linear or not np.isin(kinds, _NUMERICAL).all():
        raise BundleRefused(file, "numerical splits that know no missing zero", "another kind of split")
    column = _numbers(fields["split_feature"], np.int64, n_inner)
    if (column < 0).any():
        raise ValueError("a split on no feature")
    no_child = np.zeros(n_leaves, dtype=np.int64)
    return Tree(
        np.append(column, no_child + LEAF),
        np.append(_thresholds(fields["threshold"], n_inner), leaves),
        np.append(_children(fields["left_child"], n_inner), no_child),
        np.append(_children(fields["right_child"], n_inner), no_child),
    )


def _thresholds(text: str, n_inner: int) -> NDArray[np.float64]:
    """Moved so that a value that the library reads as zero goes where its zero goes."""
    threshold = _numbers(text, np.float64, n_inner)
    moved = np.where(threshold >= 0.0, _READ_AS_ZERO, _JUST_BELOW_ZERO)
    return np.where(np.abs(threshold) <= _READ_AS_ZERO, moved, threshold)


def _children(text: str, n_inner: int) -> NDArray[np.int64]:
    child = _numbers(text, np.int64, n_inner)
    return np.where(child < 0, n_inner + ~child, child)


def _numbers(text: str, dtype: type, count: int) -> NDArray[Any]:
    numbers: NDArray[Any] = np.array(text.split(), dtype=dtype)
    if numbers.size != count:
        raise ValueError(f"{count} numbers expected, {numbers.size} found")
    return numbers
