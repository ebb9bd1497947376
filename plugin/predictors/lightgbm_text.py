"""How is a LightGBM model read from its text?

The format is what `Booster.save_model` writes: a head of `key=value` lines, then one block of them per
tree. Only what this project trains is accepted: one binary objective, numerical splits. A split sends
`value <= threshold` to the left; inner node n is numbered n, leaf k is written as `~k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.predictors.trees import LEAF, Tree, Trees, flatten

_CATEGORICAL = 1
_MISSING_SHIFT = 2
_MISSING_IS_ZERO = 1


def read_lightgbm(
    file: str, text: bytes, feature_names: Sequence[str], columns: NDArray[np.int64]
) -> Trees:
    """The trees of a model over `feature_names`; feature j stands in column `columns[j]` of the rows.

    Raises BundleRefused where the text is not such a model.
    """
    try:
        head, *blocks = text.decode("ascii").split("\nTree=")
        if "\naverage_output" in head:
            raise ValueError("a random forest")
        _check_head(file, _fields(head), feature_names)
        trees = [_tree(file, _fields(block.split("\nend of trees", 1)[0])) for block in blocks]
    except (ValueError, KeyError, IndexError) as error:
        raise BundleRefused(file, "a LightGBM model text", repr(error)) from error
    return flatten(file, trees, 0.0, columns)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _check_head(file: str, head: dict[str, str], feature_names: Sequence[str]) -> None:
    expected = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "objective": "binary sigmoid:1",
        "feature_names": " ".join(feature_names),
    }
    for key, value in expected.items():
        if head.get(key) != value:
            raise BundleRefused(file, f"{key}={value[:60]}", str(head.get(key))[:60])


def _tree(file: str, fields: dict[str, str]) -> Tree:
    n_leaves = int(fields["num_leaves"])
    leaves = _numbers(fields["leaf_value"], np.float64, n_leaves)
    n_inner = n_leaves - 1
    if n_inner == 0:
        nothing = np.zeros(1, dtype=np.int64)
        return Tree(nothing + LEAF, leaves, nothing, nothing)
    kinds = _numbers(fields["decision_type"], np.int64, n_inner)
    zero_is_missing = kinds >> _MISSING_SHIFT == _MISSING_IS_ZERO
    linear = fields.get("is_linear", "0") != "0"
    if fields["num_cat"] != "0" or linear or (kinds & _CATEGORICAL).any() or zero_is_missing.any():
        raise BundleRefused(file, "numerical splits that know no missing zero", "another kind of split")
    no_child = np.zeros(n_leaves, dtype=np.int64)
    return Tree(
        np.append(_numbers(fields["split_feature"], np.int64, n_inner), no_child + LEAF),
        np.append(_numbers(fields["threshold"], np.float64, n_inner), leaves),
        np.append(_children(fields["left_child"], n_inner), no_child),
        np.append(_children(fields["right_child"], n_inner), no_child),
    )


def _children(text: str, n_inner: int) -> NDArray[np.int64]:
    child = _numbers(text, np.int64, n_inner)
    return np.where(child < 0, n_inner + ~child, child)


def _numbers(text: str, dtype: type, count: int) -> NDArray[Any]:
    numbers: NDArray[Any] = np.array(text.split(), dtype=dtype)
    if numbers.size != count:
        raise ValueError(f"{count} numbers expected, {numbers.size} found")
    return numbers
