"""Small boosted models of both libraries, and the rows on which an answer is most easily wrong."""

from collections.abc import Iterable, Sequence

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

N_FEATURES = 6
NAMES = tuple(f"f{number}" for number in range(N_FEATURES))
COLUMNS = np.arange(N_FEATURES)

Rows = NDArray[np.float32]


def random_rows(seed: int, n: int = 400) -> tuple[Rows, NDArray[np.float64]]:
    """Rows with repeated values and zeros of both signs, and a label that a tree can learn."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, N_FEATURES))
    rows[:, 1] = rows[:, 1].round(1)
    rows[rng.random(n) < 0.3, 2] = 0.0
    rows[rng.random(n) < 0.1, 2] = -0.0
    rows[:, 3] *= 10.0 ** rng.integers(-30, 30, n)
    up = rows[:, 0] + np.sign(rows[:, 2]) + rng.standard_normal(n) > 0
    return rows.astype(np.float32), up.astype(np.float64)


def train_lightgbm(
    rows: Rows,
    up: NDArray[np.float64],
    n_trees: int = 20,
    names: Sequence[str] = NAMES,
    **parameters: object,
) -> lightgbm.Booster:
    settings = {"objective": "binary", "min_data_in_leaf": 3, "num_threads": 1, "verbosity": -1}
    given = lightgbm.Dataset(rows, up, feature_name=list(names))
    return lightgbm.train({**settings, **parameters}, given, n_trees)


def train_xgboost(
    rows: Rows,
    up: NDArray[np.float64],
    n_trees: int = 20,
    names: Sequence[str] = NAMES,
    **parameters: object,
) -> xgboost.Booster:
    settings = {"objective": "binary:logistic", "nthread": 1, "verbosity": 0}
    given = xgboost.DMatrix(rows, up, feature_names=list(names))
    return xgboost.train({**settings, **parameters}, given, n_trees)


def rows_at(splits: Iterable[tuple[int, float]], seed: int) -> Rows:
    """For each split (feature, threshold): rows on it, one float32 below and one above; then zeros."""
    rng = np.random.default_rng(seed)
    values = [
        (feature, value) for feature, threshold in splits for value in _beside(np.float32(threshold))
    ]
    values += [(feature, value) for feature in range(N_FEATURES) for value in _NEAR_ZERO]
    rows = rng.standard_normal((len(values), N_FEATURES)).astype(np.float32)
    for row, (feature, value) in zip(rows, values, strict=True):
        row[feature] = value
    return rows


def _beside(value: np.float32) -> list[np.float32]:
    return [value, np.nextafter(value, np.float32(-np.inf)), np.nextafter(value, np.float32(np.inf))]


# LightGBM reads what lies within 1e-35 of zero as zero, and XGBoost does not.
_TINY = [*_beside(np.float32(1e-35)), np.float32(1e-45), np.float32(1.2e-38)]
_NEAR_ZERO = [np.float32(0.0), np.float32(-0.0), *_TINY, *(-tiny for tiny in _TINY)]
