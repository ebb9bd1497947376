"""How does an XGBoost member learn?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xgboost
from numpy.typing import NDArray

# Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eta": 0.05,
    "max_depth": 4,
    "min_child_weight": 100,
    "subsample": 0.5,
    "colsample_bytree": 0.2,
    "lambda": 10.0,
    "max_bin": 64,
    "tree_method": "hist",
    "nthread": 1,
}
N_TREES = 150


@dataclass(frozen=True)
class XGBoostModel:
    """One trained booster."""

    booster: xgboost.Booster

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `base.Model`."""
        return np.asarray(self.booster.inplace_predict(rows), dtype=np.float64)

    def content(self) -> bytes:
        """XGBoost's own JSON."""
        return bytes(self.booster.save_raw("json"))

    def gains(self) -> NDArray[np.float64]:
        """As `base.Model`."""
        gains = self.booster.get_score(importance_type="total_gain")
        return np.array([gains.get(name, 0.0) for name in self.booster.feature_names or ()])


@dataclass(frozen=True)
class XGBoostBins:
    """The rows of one feature set, and the first block, whose quantiles are the edges for all folds."""

    rows: NDArray[np.float32]
    edges: xgboost.QuantileDMatrix
    names: tuple[str, ...]

    def fit(self, train: NDArray[np.int64], up: NDArray[np.float64], seed: int) -> XGBoostModel:
        """As `base.Binned`."""
        fold = xgboost.QuantileDMatrix(
            self.rows[train],
            up[train],
            ref=self.edges,
            feature_names=list(self.names),
            max_bin=PARAMETERS["max_bin"],
            nthread=PARAMETERS["nthread"],
        )
        return XGBoostModel(xgboost.train({**PARAMETERS, "seed": seed}, fold, N_TREES))


@dataclass(frozen=True)
class XGBoostMember:
    """XGBoost over one feature set."""

    name: str
    feature_set: str
    kind: Literal["xgboost"] = "xgboost"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As `base.Member`."""
        return {**PARAMETERS, "n_trees": N_TREES}

    def bin(
        self, rows: NDArray[np.float32], first_block: NDArray[np.int64], names: Sequence[str]
    ) -> XGBoostBins:
        """As `base.Member`."""
        edges = xgboost.QuantileDMatrix(
            rows[first_block], feature_names=list(names), max_bin=PARAMETERS["max_bin"]
        )
        return XGBoostBins(rows, edges, tuple(names))

    def load(self, content: bytes) -> XGBoostModel:
        """As `base.Member`."""
        booster = xgboost.Booster({"nthread": PARAMETERS["nthread"]})
        booster.load_model(bytearray(content))
        return XGBoostModel(booster)
