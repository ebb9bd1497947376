"""How is an XGBoost model read from its JSON?

The format is what `Booster.save_model` writes to a `.json` file. Only what this project trains is
accepted: `binary:logistic`, `gbtree`, numerical splits. XGBoost compares in float32 and sends
`value < threshold` to the left, which for float32 values is `value <= the float32 just below`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.predictors.trees import LEAF, Tree, Trees, flatten

_NO_CHILD = -1


class _JsonTree(msgspec.Struct):
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    split_type: list[int]


class _Trees(msgspec.Struct):
    trees: list[_JsonTree]
    tree_info: list[int]


class _Booster(msgspec.Struct):
    name: str
    model: _Trees


class _Objective(msgspec.Struct):
    name: str


class _Parameters(msgspec.Struct):
    base_score: str
    num_target: str


class _Learner(msgspec.Struct):
    feature_names: list[str]
    gradient_booster: _Booster
    learner_model_param: _Parameters
    objective: _Objective


class _Model(msgspec.Struct):
    learner: _Learner


def read_xgboost(
    file: str, text: bytes, feature_names: Sequence[str], columns: NDArray[np.int64]
) -> Trees:
    """The trees of a model over `feature_names`; feature j stands in column `columns[j]` of the rows.

    Raises BundleRefused where the text is not such a model.
    """
    try:
        learner = msgspec.json.decode(text, type=_Model).learner
        if learner.gradient_booster.name != "gbtree" or learner.objective.name != "binary:logistic":
            raise ValueError(f"{learner.gradient_booster.name} with {learner.objective.name}")
        if learner.feature_names != list(feature_names):
            raise ValueError("other features")
        booster, parameters = learner.gradient_booster.model, learner.learner_model_param
        if parameters.num_target != "1" or booster.tree_info != [0] * len(booster.trees):
            raise ValueError("more than one target")
        # Written as a number by some releases and as a list of one by others.
        base = float(parameters.base_score.strip("[]"))
        if not 0.0 < base < 1.0 or not booster.trees:
            raise ValueError(f"{len(booster.trees)} trees above a base of {base}")
        trees = [_tree(tree) for tree in booster.trees]
        return flatten(file, trees, math.log(base / (1.0 - base)), columns)
    except (ValueError, OverflowError, RecursionError) as error:
        raise BundleRefused(file, "an XGBoost model in JSON over these features", error) from error


def _tree(tree: _JsonTree) -> Tree:
    left = np.array(tree.left_children, dtype=np.int64)
    right = np.array(tree.right_children, dtype=np.int64)
    column = np.array(tree.split_indices, dtype=np.int64)
    with np.errstate(over="ignore"):
        value = np.array(tree.split_conditions, dtype=np.float32)
    if any(tree.split_type) or not left.size == right.size == column.size == value.size:
        raise ValueError("a categorical split or lists of unequal length")
    leaf = left == _NO_CHILD
    if (column < 0).any() or (leaf != (right == _NO_CHILD)).any() or not np.isfinite(value).all():
        raise ValueError("a split on no feature, with one child or at no float32")
    below = np.nextafter(value, np.float32(-np.inf)).astype(np.float64)
    return Tree(
        column=np.where(leaf, LEAF, column),
        threshold=np.where(leaf, value.astype(np.float64), below),
        left=np.where(leaf, 0, left),
        right=np.where(leaf, 0, right),
    )
