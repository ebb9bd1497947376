"""How does a LightGBM member learn?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import lightgbm
import numpy as np
from numpy.typing import NDArray

# Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    # Each feature is tried at one threshold, drawn at random (Geurts, Ernst and Wehenkel, "Extremely
    # randomized trees", 2006): with it two members agree less, and more leaves and features do no harm.
    "extra_trees": True,
    "num_leaves": 31,
    "min_data_in_leaf": 500,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    # Bins are shared by folds of different sizes: a filter by the first of them would be wrong later.
    "feature_pre_filter": False,
    "deterministic": True,
    "force_col_wise": True,
    # Folds are trained side by side instead: threads inside one model wait for each other by spinning,
    # which on shared cores took fourteen times as long as one thread.
    "num_threads": 1,
    "verbosity": -1,
    "n_trees": 150,
}


@dataclass(frozen=True)
class LightGBMModel:
    """One trained booster."""

    booster: lightgbm.Booster

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `base.Model`."""
        return np.asarray(self.booster.predict(rows), dtype=np.float64)

    def content(self) -> bytes:
        """LightGBM's own text."""
        text: str = self.booster.model_to_string()
        return text.encode("ascii")

    def gains(self) -> NDArray[np.float64]:
        """As `base.Model`."""
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)


@dataclass(frozen=True)
class LightGBMBins:
    """One binned dataset; a fold is a view of its rows."""

    rows: lightgbm.Dataset
    parameters: Mapping[str, Any]

    def fit(self, train: NDArray[np.int64], up: NDArray[np.float64], seed: int) -> LightGBMModel:
        """As `base.Binned`."""
        fold = self.rows.subset(train.tolist()).construct()
        fold.set_label(up[train])
        told = {**_for_library(self.parameters), "seed": seed}
        return LightGBMModel(lightgbm.train(told, fold, self.parameters["n_trees"]))


@dataclass(frozen=True)
class LightGBMMember:
    """LightGBM over one feature set. `parameters` are the library's own, and `n_trees`."""

    name: str
    feature_set: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: PARAMETERS)
    kind: Literal["lightgbm"] = "lightgbm"

    def with_parameters(self, changed: Mapping[str, float]) -> LightGBMMember:
        """The same member with some parameters of other values."""
        return replace(self, parameters={**self.parameters, **changed})

    def bin(
        self, rows: NDArray[np.float32], first_block: NDArray[np.int64], names: Sequence[str]
    ) -> LightGBMBins:
        """As `base.Member`."""
        edges = _dataset(self.parameters, rows[first_block], names).construct()
        binned = _dataset(self.parameters, rows, names, reference=edges).construct()
        return LightGBMBins(binned, self.parameters)

    def load(self, content: bytes) -> LightGBMModel:
        """As `base.Member`."""
        return LightGBMModel(lightgbm.Booster(model_str=content.decode("ascii")))


def _for_library(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != "n_trees"}


def _dataset(
    parameters: Mapping[str, Any],
    rows: NDArray[np.float32],
    names: Sequence[str],
    reference: lightgbm.Dataset | None = None,
) -> lightgbm.Dataset:
    # Labels differ from horizon to horizon and are set on each fold; LightGBM asks for some here.
    return lightgbm.Dataset(
        rows,
        label=np.zeros(len(rows)),
        reference=reference,
        feature_name=list(names),
        params=_for_library(parameters),
    )
