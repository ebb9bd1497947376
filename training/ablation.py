"""What does each member add to the stack, and who is there twice?

The stack is fitted once more without a member, out of fold as it is with it, and both are held against
each other on the same rows. A member without which the stack is not worse, and which says nearly what
another says, is one to leave out: `python -m training run --members`. That is for people to decide, and
on bars that do not judge the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow.statistics import auc, auc_difference
from training.dataset import Dataset
from training.oof import OutOfFold
from training.settings import TrainingSettings
from training.splits import Fold
from training.stacking import stack_out_of_fold

NETWORKS = "networks"
"""All networks left out together, where there are several."""
_ALIKE = 0.95  # correlation of what two members say


def ablation(
    dataset: Dataset,
    horizon: int,
    oof: OutOfFold,
    stacked: NDArray[np.float64],
    folds: Sequence[Fold],
    settings: TrainingSettings,
    length_ms: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """By symbol and by who is left out: the AUC of the stack less that without it, with its interval,
    which is NaN where both say the same of every row.

    `stacked` (rows,) is what the stack says out of fold of all members; `length_ms` that of a bar.
    """
    left_out = {name: [name] for name in oof.members} if len(oof.members) > 1 else {}
    if len(settings.networks) > 1:
        left_out[NETWORKS] = list(settings.networks)
    up = dataset.labels[horizon].up
    judged = dataset.judged & ~np.isnan(up) & ~np.isnan(stacked)
    found: dict[str, dict[str, dict[str, float]]] = {
        symbol: {} for symbol in dataset.symbols[: dataset.n_judged]
    }
    for who, names in left_out.items():
        fewer = oof.without(names)
        others = stack_out_of_fold(fewer, dataset, horizon, folds, settings.meta, settings.seed)
        for number, symbol in enumerate(found):
            rows = judged & (dataset.symbol == number)
            bars = dataset.known_from_ms[rows] // length_ms
            pair = auc_difference(stacked[rows], others[rows], up[rows], horizon, bars)
            adds = auc(stacked[rows], up[rows]) - auc(others[rows], up[rows])
            found[symbol][who] = {"adds": adds, "low": pair.low, "high": pair.high}
    return found


def redundant(
    adds: Mapping[str, Mapping[str, float]], correlation: Mapping[str, float], limit: float
) -> list[str]:
    """Members that correlate beyond `limit` with another one, and add nothing that can be told from
    luck. `correlation` is by pair, as `first-second`."""
    alike = {name for pair, size in correlation.items() if size >= limit for name in pair.split("-")}
    return [name for name, pair in adds.items() if name in alike and not pair["low"] > 0.0]


def what_each_adds(
    dataset: Dataset,
    horizon: int,
    oof: OutOfFold,
    stacked: NDArray[np.float64],
    folds: Sequence[Fold],
    settings: TrainingSettings,
    length_ms: int,
    correlation: Mapping[str, float],
) -> dict[str, Any]:
    """As it stands in the record of a run, at one horizon."""
    adds = ablation(dataset, horizon, oof, stacked, folds, settings, length_ms)
    return {
        "horizon": horizon,
        "symbols": adds,
        "redundant": {
            symbol: redundant(of_symbol, correlation, _ALIKE) for symbol, of_symbol in adds.items()
        },
    }
