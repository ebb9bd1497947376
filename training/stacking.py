"""How much does the meta-model trust each member, and how good is the stack out of fold?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plugin.features.joined import ROW_NAMES
from plugin.meta_model import LogisticModel, meta_inputs
from training.dataset import Dataset
from training.oof import OutOfFold
from training.splits import Fold

_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")
# The inverse strength of the ridge penalty on standardised inputs. The members are nearly collinear;
# without a penalty their weights would be large and of opposite signs.
_INVERSE_PENALTY = 0.01


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
    """The meta-model that serves: learnt from every out-of-fold row whose label is known."""
    rows = np.flatnonzero(oof.fold >= 0)
    return _fit(_inputs(oof, dataset), dataset.labels[horizon].up, rows)


def _inputs(oof: OutOfFold, dataset: Dataset) -> NDArray[np.float64]:
    return meta_inputs(oof.probability, dataset.rows[:, _VOLATILITY_COLUMN])


def _fit(
    inputs: NDArray[np.float64], up: NDArray[np.float64], rows: NDArray[np.int64]
) -> LogisticModel:
    rows = rows[~np.isnan(up[rows])]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY))
    pipeline.fit(inputs[rows], up[rows])
    scaler, logistic = pipeline.steps[0][1], pipeline.steps[1][1]
    coefficients = logistic.coef_[0] / scaler.scale_
    return LogisticModel(
        coefficients=tuple(coefficients.tolist()),
        intercept=float(logistic.intercept_[0] - coefficients @ scaler.mean_),
    )
