"""What a member adds is what the stack loses without it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from tests.support.small_dataset import folds_of
from training.ablation import NETWORKS, ablation, redundant
from training.dataset import Dataset
from training.oof import OutOfFold
from training.settings import TrainingSettings
from training.splits import Fold
from training.stacking import stack_out_of_fold

Adds = dict[str, dict[str, dict[str, float]]]

HORIZON, HOUR_MS = 5, 3_600_000
SETTINGS = TrainingSettings(venue="made up")
NAMES = ("able", "copy", "blind")


def out_of_fold(dataset: Dataset, names: tuple[str, ...]) -> tuple[OutOfFold, list[Fold]]:
    """What made-up members say: one who knows something, its copy, and one who knows nothing."""
    folds = folds_of(dataset, HORIZON, n_folds=3)
    random = np.random.default_rng(5)
    direction = np.nan_to_num(dataset.labels[HORIZON].up, nan=0.5) - 0.5
    able = 0.8 * direction + 0.3 * random.normal(size=dataset.n_rows)
    blind = 0.3 * random.normal(size=dataset.n_rows)
    log_odds = np.stack([{"able": able, "copy": able, "blind": blind}[name] for name in names])
    fold = np.full(dataset.n_rows, -1)
    for one in folds:
        fold[one.test] = one.number
    probability = np.where(fold >= 0, 1.0 / (1.0 + np.exp(-log_odds)), np.nan)
    return OutOfFold(names, probability, fold), folds


def adds(dataset: Dataset, *names: str, networks: Sequence[str] = ()) -> Adds:
    settings = msgspec.structs.replace(SETTINGS, networks=tuple(networks))
    oof, folds = out_of_fold(dataset, names)
    stacked = stack_out_of_fold(oof, dataset, HORIZON, folds, SETTINGS.meta, SETTINGS.seed)
    return ablation(dataset, HORIZON, oof, stacked, folds, settings, HOUR_MS)


def test_every_symbol_and_every_member_is_there_and_all_networks_together(dataset: Dataset) -> None:
    found = adds(dataset, *NAMES, networks=["copy", "blind"])
    assert list(found) == list(dataset.symbols[: dataset.n_judged])
    assert all(list(of_symbol) == [*NAMES, NETWORKS] for of_symbol in found.values())


def test_who_knows_something_adds_to_one_who_does_not(dataset: Dataset) -> None:
    for of_symbol in adds(dataset, "able", "blind").values():
        assert of_symbol["able"]["low"] > 0.0
        assert of_symbol["blind"]["adds"] < 0.01


def test_a_copy_adds_nothing(dataset: Dataset) -> None:
    for of_symbol in adds(dataset, "able", "copy").values():
        for pair in of_symbol.values():
            assert pair["adds"] == pytest.approx(0.0, abs=1e-9)
        assert redundant(of_symbol, {"able-copy": 1.0}, 0.95) == ["able", "copy"]


def test_who_adds_something_is_not_redundant_however_alike() -> None:
    adding = {"one": {"adds": 0.01, "low": 0.002, "high": 0.02}}
    assert redundant(adding, {"one-two": 0.99}, 0.95) == []
    assert redundant({"one": {**adding["one"], "low": -0.001}}, {"one-two": 0.99}, 0.95) == ["one"]
    assert redundant({"one": {**adding["one"], "low": -0.001}}, {"one-two": 0.94}, 0.95) == []


def test_a_single_member_has_nobody_to_be_left_out_for(dataset: Dataset) -> None:
    assert adds(dataset, "able") == {name: {} for name in dataset.symbols[: dataset.n_judged]}
