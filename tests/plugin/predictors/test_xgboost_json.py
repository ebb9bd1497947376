"""Answers without the library equal the library's; what the reader does not know is refused."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost

from plugin.errors import BundleRefused
from plugin.predictors.trees import Trees
from plugin.predictors.xgboost_json import read_xgboost
from tests.support.boosted import COLUMNS, N_FEATURES, NAMES, random_rows, rows_at, train_xgboost

ROWS, UP = random_rows(0)


def read(text: bytes | str) -> Trees:
    content = text if isinstance(text, bytes) else text.encode()
    return read_xgboost("xgb_h5.json", content, NAMES, COLUMNS)


def content_of(booster: xgboost.Booster) -> bytes:
    return bytes(booster.save_raw("json"))


def splits_of(booster: xgboost.Booster) -> list[tuple[int, float]]:
    table = booster.trees_to_dataframe().dropna(subset="Split")
    return list(zip(table["Feature"].map(NAMES.index), table["Split"], strict=True))


def assert_same_answers(booster: xgboost.Booster, asked: np.ndarray[Any, Any]) -> None:
    said = read(content_of(booster)).probability(asked)
    np.testing.assert_allclose(said, booster.inplace_predict(asked), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_answers_equal_the_library_s_beside_every_threshold_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, up = random_rows(seed)
    booster = train_xgboost(
        rows,
        up,
        n_trees=int(rng.integers(1, 40)),
        max_depth=int(rng.integers(1, 8)),
        tree_method=("hist", "exact", "approx")[seed % 3],
        eta=float(rng.uniform(0.01, 0.9)),
        gamma=float(rng.uniform(0, 3)),
        seed=seed,
    )
    assert_same_answers(booster, np.concatenate([rows, rows_at(splits_of(booster), seed)]))


def test_a_row_exactly_on_a_threshold_goes_to_the_right() -> None:
    booster = train_xgboost(ROWS, UP, n_trees=1, max_depth=1)
    (split,) = splits_of(booster)
    on, below, above = rows_at([split], seed=0)[:3]
    said = read(content_of(booster)).probability(np.stack([on, below, above]))
    assert said[0] == said[2] != said[1]


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    booster = train_xgboost(ROWS, UP, n_trees=3, min_child_weight=1e9)
    assert_same_answers(booster, ROWS)
    assert np.ptp(read(content_of(booster)).probability(ROWS)) == 0.0


@pytest.mark.parametrize(
    "parameters",
    [
        {"tree_method": "exact", "gamma": 5.0},  # leaves nodes behind that were cut away
        {"grow_policy": "lossguide", "max_leaves": 8, "max_depth": 0},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"base_score": 0.9},
    ],
    ids=str,
)
def test_other_ways_to_grow_the_same_kind_of_tree_are_read(parameters: dict[str, Any]) -> None:
    assert_same_answers(train_xgboost(ROWS, UP, **parameters), ROWS)


def test_missing_values_in_training_change_nothing_for_rows_without_them() -> None:
    rows = ROWS.copy()
    rows[::3, 0] = np.nan
    assert_same_answers(train_xgboost(rows, UP), ROWS)


def test_features_are_found_in_the_columns_that_are_named() -> None:
    booster = train_xgboost(ROWS, UP)
    places = np.array([11, 2, 7, 0, 9, 4])
    wide = np.full((len(ROWS), 12), 1e9, dtype=np.float32)
    wide[:, places] = ROWS
    said = read_xgboost("xgb_h5.json", content_of(booster), NAMES, places).probability(wide)
    np.testing.assert_allclose(said, booster.inplace_predict(ROWS), rtol=0, atol=1e-6)


def _with_categories() -> xgboost.Booster:
    rows = ROWS.copy()
    rows[:, 1] = np.random.default_rng(0).integers(0, 9, len(rows))
    up = np.isin(rows[:, 1], (1, 4, 7)).astype(float)
    kinds = ["q", "c", "q", "q", "q", "q"]
    given = xgboost.DMatrix(
        rows, up, feature_names=list(NAMES), feature_types=kinds, enable_categorical=True
    )
    parameters = {"objective": "binary:logistic", "nthread": 1, "max_cat_to_onehot": 1}
    return xgboost.train(parameters, given, 3)


FOREIGN: dict[str, Callable[[], xgboost.Booster]] = {
    "categorical splits": _with_categories,
    "dropped trees": lambda: train_xgboost(ROWS, UP, booster="dart", rate_drop=0.5),
    "a linear model": lambda: train_xgboost(ROWS, UP, booster="gblinear"),
    "several classes": lambda: train_xgboost(
        ROWS, np.arange(len(ROWS)) % 3, objective="multi:softprob", num_class=3
    ),
    "two targets": lambda: train_xgboost(ROWS, np.column_stack([UP, 1 - UP])),
    "two targets in one tree": lambda: train_xgboost(
        ROWS, np.column_stack([UP, 1 - UP]), multi_strategy="multi_output_tree"
    ),
    "a regression": lambda: train_xgboost(ROWS, UP, objective="reg:squarederror"),
    "raw margins": lambda: train_xgboost(ROWS, UP, objective="binary:logitraw"),
    "other features": lambda: train_xgboost(ROWS, UP, names=[*NAMES[1:], "g"]),
    "another order": lambda: train_xgboost(ROWS, UP, names=NAMES[::-1]),
    "one feature more": lambda: train_xgboost(
        np.column_stack([ROWS, ROWS[:, 0]]), UP, names=[*NAMES, "more"]
    ),
    "no tree": lambda: train_xgboost(ROWS, UP, n_trees=0),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_models_that_this_reader_would_misread_are_refused(kind: str) -> None:
    with pytest.raises(BundleRefused, match=r"^xgb_h5\.json: "):
        read(content_of(FOREIGN[kind]()))


TEXT = content_of(train_xgboost(ROWS, UP, n_trees=2, max_depth=2))


def _changed(key: str, numbers: list[object]) -> str:
    """TEXT with the list `key` of the first tree beginning with `numbers`."""
    model = json.loads(TEXT)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree[key] = [*numbers, *tree[key][len(numbers) :]]
    return json.dumps(model)


def _with_base(base: str) -> str:
    model = json.loads(TEXT)
    model["learner"]["learner_model_param"]["base_score"] = base
    return json.dumps(model)


BROKEN = {
    "nothing": b"",
    "no JSON": b"\x93NUMPY\xff\x00",
    "half of it": TEXT[: len(TEXT) // 2],
    "it twice": TEXT * 2,
    "another object": b'{"learner":{}}',
    "a hundred thousand brackets": b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + TEXT[1:],
    "lists of unequal length": _changed("split_indices", [0] * 99),
    "a leaf beyond all numbers": TEXT.replace(
        b'"split_conditions":[', b'"split_conditions":[1e999,', 1
    ),
    "a threshold beyond float32": _changed("split_conditions", [1e300]),
    "a threshold that is no number": _changed("split_conditions", [float("nan")]),
    "a feature that is not there": _changed("split_indices", [N_FEATURES]),
    "a split on no feature": _changed("split_indices", [-1]),
    "a feature beyond 64 bits": _changed("split_indices", [10**30]),
    "a child that is its parent": _changed("left_children", [0]),
    "a child that is not there": _changed("right_children", [99]),
    "a child below the first": _changed("left_children", [-7]),
    "only one child": _changed("left_children", [-1]),
    "one node below two parents": _changed("left_children", [2]),
    "a base of one": _with_base("1"),
    "a base of zero": _with_base("[0E0]"),
    "a base that is no number": _with_base("nan"),
    "two bases": _with_base("[5E-1,5E-1]"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_texts_are_refused_with_the_name_of_the_file(fault: str) -> None:
    with pytest.raises(BundleRefused, match=r"^xgb_h5\.json: "):
        read(BROKEN[fault])


def test_the_text_that_the_faults_were_made_of_is_read() -> None:
    assert read(TEXT).roots.size == 2
