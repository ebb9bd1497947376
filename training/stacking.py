"""How much does the meta-model trust each member, and how good is the stack out of fold?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from plugin.features.joined import ROW_NAMES
from plugin.meta_model import LogisticModel, Volatility, meta_inputs
from training.dataset import Dataset
from training.oof import OutOfFold
from training.splits import Fold

_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")
# Of the ridge on the distances and the volatility, in units of the members' spread: the more rows, the
# less it counts. Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
_RIDGE = 10_000.0
_FREE = 30.0  # scaled up, the mean hardly feels the ridge


def stack_out_of_fold(
    oof: OutOfFold, dataset: Dataset, horizon: int, folds: Sequence[Fold]
) -> NDArray[np.float64]:
    """The stack's own out-of-fold probabilities, (rows,); NaN for the first fold and outside of folds.

    In fold k the meta-model has learnt from out-of-fold rows of the folds before k, purged like the
    rows of the members.
    """
    stacked = np.full(dataset.n_rows, np.nan)
    inputs = _inputs(oof, dataset)
    for fold in folds[1:]:
        learnt = fold.train[oof.fold[fold.train] >= 0]
        model = _fit(inputs, dataset.labels[horizon].up, learnt)
        stacked[fold.test] = model.probability(inputs[fold.test])
    return stacked


def fit_meta(oof: OutOfFold, dataset: Dataset, horizon: int) -> LogisticModel:
    """A meta-model that serves: learnt from every out-of-fold row whose label is known."""
    rows = np.flatnonzero(oof.fold >= 0)
    return _fit(_inputs(oof, dataset), dataset.labels[horizon].up, rows)


def _inputs(oof: OutOfFold, dataset: Dataset) -> NDArray[np.float64]:
    return meta_inputs(oof.probability, dataset.rows[:, _VOLATILITY_COLUMN])


def _fit(
    inputs: NDArray[np.float64], up: NDArray[np.float64], rows: NDArray[np.int64]
) -> LogisticModel:
    """Fit on the mean of the members, each member's distance from it, and the mean times volatility.

    In these coordinates the ridge pulls towards "trust all alike, in calm and in storm", not towards
    "trust nobody". There is no intercept: the share of "up" in the past is no forecast, and one that is
    fitted anew in every fold makes the folds incomparable.
    """
    rows = rows[~np.isnan(up[rows])]
    log_odds, log_volatility = inputs[rows, :-1], inputs[rows, -1]
    mean = log_odds.mean(axis=1)
    unit = float(log_odds.std())
    volatility = Volatility(float(log_volatility.mean()), float(log_volatility.std()), slope=0.0)
    design = np.column_stack(
        [
            _FREE * mean,
            log_odds - mean[:, None],
            volatility.standardised(log_volatility) * mean,
        ]
    )
    logistic = LogisticRegression(C=0.5 / _RIDGE, fit_intercept=False, tol=1e-8)
    of_mean, *of_distances, of_volatility = logistic.fit(design / unit, up[rows]).coef_[0] / unit
    distances = np.array(of_distances)
    weights = _FREE * of_mean / log_odds.shape[1] + distances - distances.mean()
    slope = msgspec.structs.replace(volatility, slope=float(of_volatility))
    return LogisticModel(tuple(weights.tolist()), slope)
