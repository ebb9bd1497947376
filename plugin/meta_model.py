"""How do the members' probabilities become one?

A logistic regression on the log odds of the members and the logarithm of the 20-bar realised
volatility, one per horizon, kept as plain numbers in JSON. scikit-learn fits it in `training.stacking`;
here it is only answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

# Further out a member's log odds say nothing that is true of markets, and could drown the others.
_LOG_ODDS_LIMIT = 4.0
_LEAST_VOLATILITY = 1e-8


def meta_inputs(
    probabilities: NDArray[np.float64], realised_vol: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The rows of the meta-model, (n, members + 1), from `probabilities` (members, n) and volatility.

    The one definition for fitting and for answering.
    """
    with np.errstate(divide="ignore"):
        log_odds = np.log(probabilities) - np.log1p(-probabilities)
    volatility = np.log(np.maximum(realised_vol.astype(np.float64), _LEAST_VOLATILITY))
    return np.column_stack([*np.clip(log_odds, -_LOG_ODDS_LIMIT, _LOG_ODDS_LIMIT), volatility])


class LogisticModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sigmoid(intercept + coefficients · inputs)`; inputs are members in order, then volatility."""

    coefficients: tuple[float, ...]
    intercept: float

    def probability(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of "up" for each row of `inputs`, (n, members + 1)."""
        # A loop over columns, not a matrix product: its bits do not depend on the number of rows.
        margin = np.full(inputs.shape[0], self.intercept)
        for column, coefficient in enumerate(self.coefficients):
            margin += coefficient * inputs[:, column]
        probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-margin))
        return probability


class MetaModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One logistic regression per horizon (in bars, as text), over `members` in this order."""

    members: tuple[str, ...]
    horizons: dict[str, LogisticModel]

    @classmethod
    def from_json(cls, text: bytes, horizons: Sequence[int], members: Sequence[str]) -> MetaModel:
        """Raises ValueError or MsgspecError where it is not a finite model of these members."""
        model = msgspec.json.decode(text, type=cls)
        if model.members != tuple(members) or set(model.horizons) != {str(h) for h in horizons}:
            raise ValueError(f"members {model.members} at horizons {sorted(model.horizons)}")
        for logistic in model.horizons.values():
            numbers = (*logistic.coefficients, logistic.intercept)
            if len(numbers) != len(members) + 2 or not np.isfinite(numbers).all():
                raise ValueError("a coefficient is missing or not finite")
        return model
