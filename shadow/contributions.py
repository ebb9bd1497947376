"""What does each member add to the others?

The average of the members' log odds stands in for the meta-model: the records hold what it takes, and
whether the members know something of their own shows in any fair average of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.statistics import auc_interval, mean_interval

_CLIP = 1e-6


class Contribution(msgspec.Struct, frozen=True):
    """One member on the `n` bars at which every member answered; NaN where `reason` says why not.

    `auc` with its 95 % interval is that of the member alone. `gain` is what leaving it out costs: the
    Brier score of the average log odds of the other members less that of all members, so that a member
    that helps has a gain above 0; with its 95 % interval.
    """

    n: int
    auc: float
    auc_low: float
    auc_high: float
    gain: float
    gain_low: float
    gain_high: float
    reason: str | None


def contributions(
    members: Mapping[str, NDArray[np.float64]],
    up: NDArray[np.bool_],
    overlap_bars: int,
    bar_number: NDArray[np.int64],
) -> dict[str, Contribution]:
    """Each of `members`, whose probabilities are (n,), NaN where it gave none; `up` (n,) is what came.

    `overlap_bars` and `bar_number` (n,) as in `auc_interval`.
    """
    said = np.stack(list(members.values()))
    rows = np.isfinite(said).all(axis=0)
    log_odds = _log_odds(said[:, rows])
    came, bars = up[rows].astype(np.float64), bar_number[rows]
    error_of_all = (_probability(log_odds.mean(axis=0)) - came) ** 2
    found = {}
    for at, name in enumerate(members):
        area = auc_interval(said[at, rows], came, overlap_bars, bars)
        others = np.delete(log_odds, at, axis=0)
        if not len(others):
            gain = (math.nan,) * 3
            reason: str | None = "there is no other member"
        else:
            error = (_probability(others.mean(axis=0)) - came) ** 2
            paired = mean_interval(error - error_of_all, overlap_bars, bars)
            gain = paired.estimate, paired.low, paired.high
            reason = area.reason or paired.reason
        found[name] = Contribution(came.size, area.estimate, area.low, area.high, *gain, reason)
    return found


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(p, _CLIP, 1.0 - _CLIP)
    odds: NDArray[np.float64] = np.log(inside / (1.0 - inside))
    return odds


def _probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-log_odds))
    return p
