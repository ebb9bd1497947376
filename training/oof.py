"""What does each member say of bars that it never saw?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.errors import WrongUse
from plugin.features.joined import FEATURE_SETS, columns_of
from training.checkpoint import Keep, make_anew
from training.dataset import Dataset
from training.models.base import Binned, Member, Model
from training.splits import Fold

Step = Callable[[str], None]
"""Gets a word for people."""


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities at one horizon, (members, rows); NaN for rows of no test block.

    `fold` (rows,) is the number of the block that a row is tested in, -1 where there is none.
    """

    members: tuple[str, ...]
    probability: NDArray[np.float64]
    fold: NDArray[np.int64]

    def without(self, names: Sequence[str]) -> OutOfFold:
        """All members but those of these names."""
        kept = [number for number, name in enumerate(self.members) if name not in names]
        return OutOfFold(
            tuple(self.members[number] for number in kept), self.probability[kept], self.fold
        )

    def and_networks(self, names: Sequence[str], said: NDArray[np.float64]) -> OutOfFold:
        """With what networks said, (networks, rows), after the others."""
        return OutOfFold((*self.members, *names), np.vstack([self.probability, said]), self.fold)


def unheard(_what: str) -> None:
    """In the place of a `Step` where nobody wants to know."""


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
    keep: Keep = make_anew,
) -> OutOfFold:
    """Train every member on every fold and let it predict the fold's test block.

    The trainings are spread over `pool`, and what they say is kept by `keep`. `step` is called with a
    word for people after each. Raises WrongUse where a member had too few rows to learn anything.
    """
    up = dataset.labels[horizon].up

    def predict(fold: Fold, member: Member) -> bytes:
        model = binned[member.name].fit(_learnable(fold.train, up), up, seed)
        return model.predict(dataset.rows[fold.test][:, columns_of(member.feature_set)]).tobytes()

    def tested(fold: Fold, member: Member) -> NDArray[np.float64]:
        name = f"{member.name}_h{horizon}_fold{fold.number}"
        return np.frombuffer(keep(name, lambda: predict(fold, member)))

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
    keep: Keep = make_anew,
) -> dict[str, Model]:
    """Train every member on all rows whose label is known: the models that will serve.

    Each is read from the bytes that `keep` returns, whether they were there or are new, so that a
    training that was resumed can not differ from one that was not.
    """
    up = dataset.labels[horizon].up
    rows = _learnable(np.arange(dataset.n_rows), up)

    def fit(member: Member) -> bytes:
        return keep(
            f"{member.name}_h{horizon}_final",
            lambda: binned[member.name].fit(rows, up, seed).content(),
        )

    models = {}
    for member, content in zip(members, pool.map(fit, members), strict=True):
        models[member.name] = member.load(content)
        step(f"{member.name}, {horizon} bars, final")
    return models


def predict_seen(
    members: Sequence[Member], models: Mapping[str, Model], dataset: Dataset, oof: OutOfFold
) -> NDArray[np.float64]:
    """What the models that serve say of the out-of-fold rows, which they have learnt from.

    (members, rows), NaN for all other rows. Beside the out-of-fold answers it shows whether those were
    really given without having seen the row.
    """
    seen = np.full(oof.probability.shape, np.nan)
    rows = np.flatnonzero(oof.fold >= 0)
    for number, member in enumerate(members):
        columns = np.ascontiguousarray(dataset.rows[rows][:, columns_of(member.feature_set)])
        seen[number, rows] = models[member.name].predict(columns)
    return seen


def _learnable(train: NDArray[np.int64], up: NDArray[np.float64]) -> NDArray[np.int64]:
    return train[~np.isnan(up[train])]
