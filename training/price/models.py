"""Which models forecast prices: "no change", and those that need no network?

All forecast the log return to the close `horizon` bars later, in units of its spread in the training
block. What is to be chosen is chosen by the validation block; no model is shown the test block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from training.price.rows import PriceRows

NO_CHANGE = "no change"
Step = Callable[[str], None]
Forecast = Callable[[NDArray[np.int64]], NDArray[np.float64]]
_RIDGES = tuple(10.0**power for power in range(1, 8))


@dataclass(frozen=True)
class Learnt:
    """A model that has learnt: `forecast` maps row numbers to returns in units of their spread.

    `n_parameters` counts what was fitted, of a forest the nodes; `chosen` is what the validation block
    decided, for the record.
    """

    forecast: Forecast
    n_parameters: int
    chosen: Mapping[str, Any] = field(default_factory=dict)


class PriceModel(Protocol):
    """A way to forecast."""

    @property
    def name(self) -> str: ...

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        """Learn from `rows.train`, stop or choose by `rows.validation`; `step` gets words."""
        ...


@dataclass(frozen=True)
class NoChange:
    """The close to come is the newest close: what every other model has to beat."""

    name: str = NO_CHANGE

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        return Learnt(lambda numbers: np.zeros(numbers.size), n_parameters=0)


@dataclass(frozen=True)
class LinearRegression:
    """Least squares on all numbers of the window; the validation block chooses the ridge."""

    name: str = "linear"

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        inputs, targets = _flat(rows, rows.train), rows.targets(rows.train)
        stopped_by, followed = _flat(rows, rows.validation), rows.targets(rows.validation)
        fitted = {ridge: Ridge(alpha=ridge).fit(inputs, targets) for ridge in _RIDGES}
        errors = {
            ridge: float(np.mean((model.predict(stopped_by) - followed) ** 2))
            for ridge, model in fitted.items()
        }
        best = min(errors, key=errors.__getitem__)
        return Learnt(
            lambda numbers: fitted[best].predict(_flat(rows, numbers)).astype(np.float64),
            n_parameters=inputs.shape[1] + 1,
            chosen={"ridge": best},
        )


@dataclass(frozen=True)
class RandomForest:
    """Trees on parts of the rows and of the columns, their answers averaged."""

    n_trees: int = 100
    name: str = "random forest"

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        model = RandomForestRegressor(
            n_estimators=self.n_trees,
            min_samples_leaf=50,
            max_features=0.1,
            max_samples=0.3,
            random_state=seed,
            n_jobs=1,
        ).fit(_flat(rows, rows.train), rows.targets(rows.train))
        return Learnt(
            lambda numbers: model.predict(_flat(rows, numbers)).astype(np.float64),
            n_parameters=sum(tree.tree_.node_count for tree in model.estimators_),
        )


def _flat(rows: PriceRows, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    return rows.windows(numbers).reshape(numbers.size, -1)
