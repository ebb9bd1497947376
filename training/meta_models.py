"""How does each kind of meta-model learn?

All learn from the same inputs (`plugin.meta_model.meta_inputs`) and labels. The logistic regression has
no intercept; trees and network are shown every row twice, the second time with all log odds and the
label turned round: the share of "up" in the past is no forecast, and one that is fitted anew in every
fold makes the folds incomparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from plugin.meta_kinds import BoostedModel, LogisticModel, NetworkModel, Volatility
from plugin.meta_model import HorizonModel

MetaKind = Literal["logistic", "boosted", "network"]
_Fit = Callable[[NDArray[np.float64], NDArray[np.float64], int], HorizonModel]

# Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
# Of the ridge on the distances and the volatility, in units of the members' spread: the more rows, the
# less it counts.
_RIDGE = 10_000.0
_FREE = 30.0  # scaled up, the mean hardly feels the ridge
_BOOSTED: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 4,
    "lambda_l2": 1_000.0,
    "boost_from_average": False,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_N_TREES = 120
_LEAST_IN_LEAF = 0.02  # of the rows
_HIDDEN = 4
_WEIGHT_DECAY = 0.003  # for each row


def fit_model(
    kind: MetaKind, inputs: NDArray[np.float64], up: NDArray[np.float64], seed: int
) -> HorizonModel:
    """Learn from `inputs` (n, members + 1) and the labels `up` (n,), all known."""
    return _FITS[kind](inputs, up, seed)


def _logistic(inputs: NDArray[np.float64], up: NDArray[np.float64], _: int) -> LogisticModel:
    """Fit on the mean of the members, each member's distance from it, and the mean times volatility.

    In these coordinates the ridge pulls towards "trust all alike, in calm and in storm", not towards
    "trust nobody".
    """
    log_odds, log_volatility = inputs[:, :-1], inputs[:, -1]
    mean = log_odds.mean(axis=1)
    unit = float(log_odds.std())
    volatility = _volatility(log_volatility)
    design = np.column_stack(
        [
            _FREE * mean,
            log_odds - mean[:, None],
            volatility.standardised(log_volatility) * mean,
        ]
    )
    logistic = LogisticRegression(C=0.5 / _RIDGE, fit_intercept=False, tol=1e-8)
    of_mean, *of_distances, of_volatility = logistic.fit(design / unit, up).coef_[0] / unit
    distances = np.array(of_distances)
    weights = _FREE * of_mean / log_odds.shape[1] + distances - distances.mean()
    return LogisticModel(tuple(weights.tolist()), volatility, float(of_volatility))


def _boosted(inputs: NDArray[np.float64], up: NDArray[np.float64], seed: int) -> BoostedModel:
    rows, labels = _both_ways(inputs.astype(np.float32), up)
    names = [BoostedModel.FEATURES.format(number) for number in range(inputs.shape[1])]
    told = {**_BOOSTED, "min_data_in_leaf": int(_LEAST_IN_LEAF * len(rows)), "seed": seed}
    data = lightgbm.Dataset(rows, label=labels, feature_name=names, params=told)
    booster = lightgbm.train(told, data, _N_TREES)
    return BoostedModel(inputs.shape[1] - 1, booster.model_to_string())


def _network(inputs: NDArray[np.float64], up: NDArray[np.float64], seed: int) -> NetworkModel:
    unit = float(inputs[:, :-1].std())
    volatility = _volatility(inputs[:, -1])
    scaled = np.column_stack([inputs[:, :-1] / unit, volatility.standardised(inputs[:, -1])])
    network = MLPClassifier(
        (_HIDDEN,),
        activation="tanh",
        solver="lbfgs",
        alpha=_WEIGHT_DECAY * len(scaled),
        max_iter=500,
        random_state=seed,
    ).fit(*_both_ways(scaled, up))
    (into, out), (bias, _) = network.coefs_, network.intercepts_
    neurons = np.column_stack([into.T, bias])
    return NetworkModel(
        unit, volatility, tuple(map(tuple, neurons.tolist())), tuple(out[:, 0].tolist())
    )


def _volatility(log_volatility: NDArray[np.float64]) -> Volatility:
    return Volatility(float(log_volatility.mean()), float(log_volatility.std()))


def _both_ways(
    rows: NDArray[np.floating], up: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    turned = rows.copy()
    turned[:, :-1] *= -1.0
    return np.concatenate([rows, turned]), np.concatenate([up, 1.0 - up])


_FITS: Mapping[MetaKind, _Fit] = {"logistic": _logistic, "boosted": _boosted, "network": _network}
META_KINDS: tuple[MetaKind, ...] = tuple(_FITS)
