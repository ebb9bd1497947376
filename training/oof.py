"""What does each member say of bars that it never saw?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.errors import WrongUse
from plugin.features.joined import FEATURE_SETS, columns_of
from training.dataset import Dataset
from training.models.base import Binned, Member, Model
from training.splits import Fold

Step = Callable[[str], None]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities at one horizon, (members, rows); NaN for rows of no test block.

    `fold` (rows,) is the number of the block that a row is tested in, -1 where there is none.
    """

    members: tuple[str, ...]
    probability: NDArray[np.float64]
    fold: NDArray[np.int64]


def bin_members(
    members: Sequence[Member], dataset: Dataset, first_block: NDArray[np.int64]
) -> dict[str, Binned]:
    """Cut the rows of every member into bins once; edges come from `first_block` alone."""
    return {
        member.name: member.bin(
            np.ascontiguousarray(dataset.rows[:, columns_of(member.feature_set)]),
            first_block,
            FEATURE_SETS[member.feature_set].names,
        )
        for member in members
    }


def out_of_fold(
    members: Sequence[Member],
    binned: Mapping[str, Binned],
    dataset: Dataset,
    horizon: int,
    folds: Sequence[Fold],
    seed: int,
    pool: Executor,
    step: Step,
) -> OutOfFold:
    """Train every member on every fold and let it predict the fold's test block.

    The trainings are spread over `pool`. `step` is called with a word for people after each. Raises
    WrongUse where a member had too few rows to learn anything.
    """
    up = dataset.labels[horizon].up

    def tested(fold: Fold, member: Member) -> NDArray[np.float64]:
        model = binned[member.name].fit(_learnable(fold.train, up), up, seed)
        return model.predict(dataset.rows[fold.test][:, columns_of(member.feature_set)])

    jobs = [(fold, number) for fold in folds for number in range(len(members))]
    answers = pool.map(lambda job: tested(job[0], members[job[1]]), jobs)
    probability = np.full((len(members), dataset.n_rows), np.nan)
    tested_in = np.full(dataset.n_rows, -1)
    for (fold, number), answer in zip(jobs, answers, strict=True):
        if not np.ptp(answer) > 0.0:
            raise WrongUse(
                f"rows enough for {members[number].name} to tell bars apart",
                f"{fold.train.size} in fold {fold.number + 1}, and it says the same of every bar",
                "use a longer history or learn from more symbols",
            )
        probability[number, fold.test] = answer
        tested_in[fold.test] = fold.number
        step(f"{members[number].name}, {horizon} bars, fold {fold.number + 1} of {len(folds)}")
    return OutOfFold(tuple(member.name for member in members), probability, tested_in)


def fit_final(
    members: Sequence[Member],
    binned: Mapping[str, Binned],
    dataset: Dataset,
    horizon: int,
    seed: int,
    pool: Executor,
    step: Step,
) -> dict[str, Model]:
    """Train every member on all rows whose label is known: the models that will serve."""
    up = dataset.labels[horizon].up
    rows = _learnable(np.arange(dataset.n_rows), up)
    fitted = pool.map(lambda member: binned[member.name].fit(rows, up, seed), members)
    models = {}
    for member, model in zip(members, fitted, strict=True):
        models[member.name] = model
        step(f"{member.name}, {horizon} bars, final")
    return models


def _learnable(train: NDArray[np.int64], up: NDArray[np.float64]) -> NDArray[np.int64]:
    return train[~np.isnan(up[train])]
