"""Answers without the library equal the library's; what the reader does not know is refused."""

import re
from collections.abc import Callable

import lightgbm
import numpy as np
import pytest

from plugin.errors import BundleRefused
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.trees import Trees
from tests.support.boosted import COLUMNS, N_FEATURES, NAMES, random_rows, rows_at, train_lightgbm

ROWS, UP = random_rows(0)


def read(text: str | bytes) -> Trees:
    content = text if isinstance(text, bytes) else text.encode()
    return read_lightgbm("lgb_h5.txt", content, NAMES, COLUMNS)


def splits_of(booster: lightgbm.Booster) -> list[tuple[int, float]]:
    table = booster.trees_to_dataframe().dropna(subset="threshold")
    features = table["split_feature"].map(NAMES.index)
    return list(zip(features, table["threshold"], strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_answers_equal_the_library_s_beside_every_threshold_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, up = random_rows(seed)
    booster = train_lightgbm(
        rows,
        up,
        n_trees=int(rng.integers(1, 40)),
        num_leaves=int(rng.integers(2, 40)),
        max_depth=int(rng.integers(-1, 8)),
        max_bin=int(rng.integers(3, 255)),
        learning_rate=float(rng.uniform(0.01, 0.9)),
        seed=seed,
    )
    asked = np.concatenate([rows, rows_at(splits_of(booster), seed)])
    said = read(booster.model_to_string()).probability(asked)
    np.testing.assert_allclose(said, booster.predict(asked), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sign", "label"), [(1, "positive"), (-1, "negative")])
def test_values_that_the_library_reads_as_zero_go_where_its_zero_goes(sign: int, label: str) -> None:
    rows, _ = random_rows(1)
    rows[:, 0] = sign * np.abs(rows[:, 0])
    rows[::2, 0] = 0.0
    booster = train_lightgbm(rows, (rows[:, 0] != 0).astype(float), n_trees=1, num_leaves=2)
    (split,) = splits_of(booster)
    assert abs(split[1]) == np.float32(1e-35), f"no split between zero and the {label} numbers"
    asked = rows_at([split], seed=1)
    np.testing.assert_allclose(
        read(booster.model_to_string()).probability(asked), booster.predict(asked), rtol=0, atol=1e-12
    )


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    booster = train_lightgbm(ROWS, UP, n_trees=3, min_data_in_leaf=10_000)
    assert "num_leaves=1\n" in booster.model_to_string()
    said = read(booster.model_to_string()).probability(ROWS)
    np.testing.assert_allclose(said, booster.predict(ROWS), rtol=0, atol=1e-12)
    assert np.ptp(said) == 0.0


def test_missing_values_in_training_change_nothing_for_rows_without_them() -> None:
    rows = ROWS.copy()
    rows[::3, 0] = np.nan
    booster = train_lightgbm(rows, UP)
    assert re.search(r"^decision_type=.*\b(8|10)\b", booster.model_to_string(), re.MULTILINE)
    said = read(booster.model_to_string()).probability(ROWS)
    np.testing.assert_allclose(said, booster.predict(ROWS), rtol=0, atol=1e-12)


def test_dropped_trees_are_ordinary_trees_once_they_are_written() -> None:
    booster = train_lightgbm(ROWS, UP, boosting="dart", drop_rate=0.5)
    said = read(booster.model_to_string()).probability(ROWS)
    np.testing.assert_allclose(said, booster.predict(ROWS), rtol=0, atol=1e-12)


def test_features_are_found_in_the_columns_that_are_named() -> None:
    booster = train_lightgbm(ROWS, UP)
    places = np.array([11, 2, 7, 0, 9, 4])
    wide = np.full((len(ROWS), 12), 1e9, dtype=np.float32)
    wide[:, places] = ROWS
    trees = read_lightgbm("lgb_h5.txt", booster.model_to_string().encode(), NAMES, places)
    np.testing.assert_allclose(trees.probability(wide), booster.predict(ROWS), rtol=0, atol=1e-12)


def _with_zero_as_missing() -> str:
    return train_lightgbm(ROWS, UP, zero_as_missing=True).model_to_string()


def _with_categories() -> str:
    rows = ROWS.copy()
    rows[:, 1] = np.random.default_rng(0).integers(0, 9, len(rows))
    up = np.isin(rows[:, 1], (1, 4, 7)).astype(float)
    given = lightgbm.Dataset(rows, up, feature_name=list(NAMES), categorical_feature=["f1"])
    parameters = {"objective": "binary", "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 3}
    return lightgbm.train(parameters, given, 3).model_to_string()


def _of_three_classes() -> str:
    up = np.arange(len(ROWS)) % 3
    return train_lightgbm(ROWS, up, objective="multiclass", num_class=3).model_to_string()


FOREIGN: dict[str, Callable[[], str]] = {
    "categorical splits": _with_categories,
    "zero counted as missing": _with_zero_as_missing,
    "linear leaves": lambda: train_lightgbm(ROWS, UP, linear_tree=True).model_to_string(),
    "a random forest": lambda: train_lightgbm(
        ROWS, UP, boosting="rf", bagging_fraction=0.5, bagging_freq=1
    ).model_to_string(),
    "several classes": _of_three_classes,
    "a regression": lambda: train_lightgbm(ROWS, UP, objective="regression").model_to_string(),
    "another slope": lambda: train_lightgbm(ROWS, UP, sigmoid=2.0).model_to_string(),
    "other features": lambda: train_lightgbm(ROWS, UP, names=[*NAMES[1:], "g"]).model_to_string(),
    "another order": lambda: train_lightgbm(ROWS, UP, names=NAMES[::-1]).model_to_string(),
    "one feature more": lambda: train_lightgbm(
        np.column_stack([ROWS, ROWS[:, 0]]), UP, names=[*NAMES, "more"]
    ).model_to_string(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_models_that_this_reader_would_misread_are_refused(kind: str) -> None:
    with pytest.raises(BundleRefused, match=r"^lgb_h5\.txt: "):
        read(FOREIGN[kind]())


TEXT = train_lightgbm(ROWS, UP, n_trees=3, num_leaves=4).model_to_string()


def _changed(key: str, change: Callable[[list[str]], list[str]]) -> str:
    """TEXT with the numbers of the first line of `key` changed."""
    return re.sub(
        rf"^{key}=(.*)$",
        lambda line: f"{key}=" + " ".join(change(line[1].split())),
        TEXT,
        count=1,
        flags=re.MULTILINE,
    )


BROKEN = {
    "nothing": "",
    "no text": b"\x93NUMPY\xff\x00",
    "zeros": b"\0" * 1000,
    "a cut within the last tree": TEXT[: TEXT.index("end of trees") - 300],
    "the head alone": TEXT.split("\nTree=")[0],
    "no end": TEXT.replace("end of trees", ""),
    "a tree less": re.sub(r"\nTree=1\n.*?(?=\nTree=2\n)", "", TEXT, flags=re.DOTALL),
    "a tree twice": re.sub(r"(\nTree=1\n.*?)(?=\nTree=2\n)", r"\1\1", TEXT, flags=re.DOTALL),
    "foreign line ends": TEXT.replace("\n", "\r\n"),
    "a billion leaves": _changed("num_leaves", lambda _: [str(10**9)]),
    "more leaves than a number holds": _changed("num_leaves", lambda _: ["9" * 5000]),
    "no leaves": _changed("num_leaves", lambda _: ["0"]),
    "fewer than no leaves": _changed("num_leaves", lambda _: ["-3"]),
    "a leaf too many": _changed("leaf_value", lambda numbers: [*numbers, "0.5"]),
    "a threshold less": _changed("threshold", lambda numbers: numbers[1:]),
    "a threshold that is no number": _changed("threshold", lambda n: ["nan", *n[1:]]),
    "a leaf beyond all numbers": _changed("leaf_value", lambda n: ["1e999", *n[1:]]),
    "a feature that is not there": _changed("split_feature", lambda n: [str(N_FEATURES), *n[1:]]),
    "a split on no feature": _changed("split_feature", lambda n: ["-1", *n[1:]]),
    "a feature beyond 64 bits": _changed("split_feature", lambda n: ["9" * 30, *n[1:]]),
    "a child that is its parent": _changed("left_child", lambda n: ["0", *n[1:]]),
    "a child that is not there": _changed("right_child", lambda n: ["99", *n[1:]]),
    "a leaf that is not there": _changed("left_child", lambda n: ["-99", *n[1:]]),
    "one leaf below two parents": _changed("left_child", lambda n: ["-1"] * len(n)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_texts_are_refused_with_the_name_of_the_file(fault: str) -> None:
    assert BROKEN[fault] != TEXT
    with pytest.raises(BundleRefused, match=r"^lgb_h5\.txt: "):
        read(BROKEN[fault])


def test_the_text_that_the_faults_were_made_of_is_read() -> None:
    assert read(TEXT).roots.size == 3
