"""How volatile will the next bars be: low, mid or high?

Two models answer a row: how likely is it that the volatility of the next bars will rank in the middle
third of the past ones or above, and how likely that it will rank in the highest? The answer is the
third that is the most likely one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plugin.predictors.base import Predictor

Regime = Literal["low", "mid", "high", "unknown"]
QUESTIONS = ("mid_or_high", "high")


@dataclass(frozen=True)
class RegimeClassifier:
    """One model for each of QUESTIONS."""

    models: tuple[Predictor, Predictor]

    def probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of "yes" to each of QUESTIONS, (n, 2); `rows` as in `Predictor`."""
        said = np.empty((rows.shape[0], len(self.models)))
        for number, model in enumerate(self.models):
            said[:, number] = model.probability(rows)
        return said


def answered_regime(said: Mapping[str, float], vol_rank: float) -> Regime:
    """What a classifier `said` to QUESTIONS; without one, the third in which the present volatility
    ranks."""
    return most_likely(**said) if said else regime_of(vol_rank)


def regime_of(vol_rank: float | None) -> Regime:
    """The third that a rank of volatility in [0, 1] lies in; `unknown` for anything else."""
    if vol_rank is None or not 0.0 <= vol_rank <= 1.0:
        return "unknown"
    if vol_rank < 1 / 3:
        return "low"
    return "mid" if vol_rank < 2 / 3 else "high"


def most_likely(mid_or_high: float, high: float) -> Regime:
    """The answer to two probabilities, of equals the higher; `unknown` where one is none.

    Where the two models contradict each other, `high` more likely than `mid_or_high`, mid is never the
    answer.
    """
    if not (0.0 <= mid_or_high <= 1.0 and 0.0 <= high <= 1.0):
        return "unknown"
    low, mid = 1.0 - mid_or_high, mid_or_high - high
    if high >= max(low, mid):
        return "high"
    return "mid" if mid >= low else "low"
