"""What does the meta-model say of bars that it never saw, and which one will serve?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plugin.features.joined import ROW_NAMES
from plugin.meta_model import HorizonModel, meta_inputs
from training.dataset import Dataset
from training.meta_models import MetaKind, fit_model
from training.oof import OutOfFold
from training.splits import Fold

_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


def stack_out_of_fold(
    oof: OutOfFold, dataset: Dataset, horizon: int, folds: Sequence[Fold], kind: MetaKind, seed: int
) -> NDArray[np.float64]:
    """The stack's own out-of-fold probabilities, (rows,); NaN for the first fold and outside of folds.

    In fold k the meta-model has learnt from out-of-fold rows of the folds before k, purged like the
    rows of the members.
    """
    stacked = np.full(dataset.n_rows, np.nan)
    inputs = _inputs(oof, dataset)
    for fold in folds[1:]:
        learnt = fold.train[oof.fold[fold.train] >= 0]
        model = _fit(inputs, dataset.labels[horizon].up, learnt, kind, seed)
        stacked[fold.test] = model.probability(inputs[fold.test])
    return stacked


def fit_meta(oof: OutOfFold, dataset: Dataset, horizon: int, kind: MetaKind, seed: int) -> HorizonModel:
    """A meta-model that serves: learnt from every out-of-fold row whose label is known."""
    rows = np.flatnonzero(oof.fold >= 0)
    return _fit(_inputs(oof, dataset), dataset.labels[horizon].up, rows, kind, seed)


def _inputs(oof: OutOfFold, dataset: Dataset) -> NDArray[np.float64]:
    return meta_inputs(oof.probability, dataset.rows[:, _VOLATILITY_COLUMN])


def _fit(
    inputs: NDArray[np.float64],
    up: NDArray[np.float64],
    rows: NDArray[np.int64],
    kind: MetaKind,
    seed: int,
) -> HorizonModel:
    known = rows[~np.isnan(up[rows])]
    return fit_model(kind, inputs[known], up[known], seed)
