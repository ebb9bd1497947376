"""What is a trial of a member's parameters worth, inside the block that a training only learns from?

Every fold of a training learns from that block. A trial is judged by a walk-forward inside of it: the
test blocks stay unseen, and may judge what was found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from plugin.errors import WrongUse
from plugin.features.joined import columns_of
from shadow.statistics import auc
from training.dataset import Dataset
from training.material import first_block, split_rows
from training.models.base import Member
from training.oof import bin_members
from training.settings import TUNABLE, TrainingSettings
from training.splits import Fold

# One number a parameter can have, and how: by factors where doubling matters, not adding.
SPACE: dict[str, BaseDistribution] = {
    "n_trees": IntDistribution(50, 400, log=True),
    "learning_rate": FloatDistribution(0.01, 0.2, log=True),
    "num_leaves": IntDistribution(4, 63, log=True),
    "min_data_in_leaf": IntDistribution(50, 2000, log=True),
    "feature_fraction": FloatDistribution(0.1, 1.0),
    "bagging_fraction": FloatDistribution(0.3, 1.0),
    "lambda_l2": FloatDistribution(0.1, 100.0, log=True),
}
DEFAULTS = {name: TUNABLE.parameters[name] for name in SPACE}


@dataclass(frozen=True)
class Block:
    """What trials learn from and are judged on: rows of the first block, and folds inside of it.

    `folds` are purged by `horizon`, `longest` are the same by the longest one.
    """

    rows: Dataset
    horizon: int
    folds: Sequence[Fold]
    longest: Sequence[Fold]
    seed: int

    def tested(self, fold: Fold) -> NDArray[np.int64]:
        """The rows of a fold that are judged: of served symbols, with a label that is known."""
        known = self.rows.judged & ~np.isnan(self.rows.labels[self.horizon].up)
        return fold.test[known[fold.test]]

    def areas(self, said: NDArray[np.float64]) -> list[float]:
        """The AUC on each fold of what is `said` (rows,). Raises WrongUse where one has none."""
        up = self.rows.labels[self.horizon].up
        found = [auc(said[tested], up[tested]) for tested in map(self.tested, self.folds)]
        if not np.isfinite(found).all():
            remedy = "use a longer history or fewer folds"
            raise WrongUse("bars that rise and bars that fall in every fold", "only one kind", remedy)
        return found


@dataclass(frozen=True)
class Subject:
    """What a study searches: the parameters of a `member` in a `space`, the `defaults` among them.

    `areas` says how good parameters are: the AUC on each fold of the `block`.
    """

    member: str
    space: Mapping[str, BaseDistribution]
    defaults: Mapping[str, float]
    block: Block
    areas: Callable[[Mapping[str, float]], list[float]]


def open_block(settings: TrainingSettings, dataset: Dataset, horizon: int) -> Block:
    """The first block of a training over `dataset`, and its folds."""
    return cut_block(settings, first_block(settings, dataset), horizon)


def cut_block(settings: TrainingSettings, rows: Dataset, horizon: int) -> Block:
    """Cut the rows of a first block into `settings.n_folds` folds, as a training cuts the rest."""
    folds = split_rows(settings, rows)
    return Block(rows, horizon, folds[horizon], folds[max(settings.horizons)], settings.seed)


def lightgbm_subject(block: Block) -> Subject:
    """The member `lgb`."""
    return Subject(
        member=TUNABLE.name,
        space=SPACE,
        defaults=DEFAULTS,
        block=block,
        areas=lambda parameters: areas(TUNABLE.with_parameters(parameters), block),
    )


def areas(member: Member, block: Block) -> list[float]:
    """The AUC of a member over rows, on each fold of the block. Raises WrongUse where it has none."""
    up, columns = block.rows.labels[block.horizon].up, columns_of(member.feature_set)
    binned = bin_members([member], block.rows, block.longest[0].train)[member.name]
    said = np.full(block.rows.n_rows, np.nan)

    def predict(fold: Fold) -> None:
        model = binned.fit(fold.train[~np.isnan(up[fold.train])], up, block.seed)
        tested = block.tested(fold)
        said[tested] = model.predict(block.rows.rows[tested][:, columns])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(predict, block.folds))
    return block.areas(said)
