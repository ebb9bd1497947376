"""How do the members' probabilities become one?

A logistic regression, one per horizon, on the log odds of the members and the 20-bar realised
volatility: each member has a weight, and volatility says how far to trust them all. It is kept as plain
numbers in JSON. scikit-learn fits it in `training.stacking`; here it is only answered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled

# Further out a member's log odds say nothing that is true of markets, and could drown the others.
_LOG_ODDS_LIMIT = 4.0
_LEAST_VOLATILITY = 1e-8
_SPREAD_LIMIT = 3.0
_LONGEST_WORDS = 200  # of what stands in a file that may hold anything


def meta_inputs(
    probabilities: NDArray[np.float64], realised_vol: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The rows of the meta-model, (n, members + 1), from `probabilities` (members, n) and volatility.

    The one definition for fitting and for answering.
    """
    inputs = np.empty((probabilities.shape[1], probabilities.shape[0] + 1))
    _write_inputs(np.ascontiguousarray(probabilities), realised_vol.astype(np.float64), inputs)
    return inputs


@compiled
def _write_inputs(
    probabilities: NDArray[np.float64], realised_vol: NDArray[np.float64], inputs: NDArray[np.float64]
) -> None:
    # Limits by comparison, because NaN fails each of them and so stays NaN.
    for i in range(inputs.shape[0]):
        for member in range(probabilities.shape[0]):
            p = probabilities[member, i]
            log_odds = math.log(p) - math.log1p(-p)
            if abs(log_odds) > _LOG_ODDS_LIMIT:
                log_odds = math.copysign(_LOG_ODDS_LIMIT, log_odds)
            inputs[i, member] = log_odds
        too_low = realised_vol[i] < _LEAST_VOLATILITY
        inputs[i, -1] = math.log(_LEAST_VOLATILITY if too_low else realised_vol[i])


class Volatility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How trust in all members grows with the volatility, in standard deviations around `centre`."""

    centre: float
    spread: float
    slope: float

    def standardised(self, log_volatility: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviations from the centre, at most `_SPREAD_LIMIT` of them."""
        deviations = (log_volatility - self.centre) / self.spread
        return np.minimum(np.maximum(deviations, -_SPREAD_LIMIT), _SPREAD_LIMIT)


class LogisticModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sigmoid(weights · log odds + slope * standardised volatility * mean of the log odds)`.

    No intercept: whatever the past share of "up" was, members that say nothing lead to one half.
    """

    weights: tuple[float, ...]
    volatility: Volatility

    def probability(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of "up" for each row of `inputs`, (n, members + 1) from `meta_inputs`."""
        probability = np.empty(inputs.shape[0])
        trust = self.volatility.slope * self.volatility.standardised(inputs[:, -1])
        _write_probability(inputs, np.array(self.weights), trust, probability)
        return probability


@compiled
def _write_probability(
    inputs: NDArray[np.float64],
    weights: NDArray[np.float64],
    trust: NDArray[np.float64],
    probability: NDArray[np.float64],
) -> None:
    # A loop, not a matrix product: its bits do not depend on the number of rows.
    for i in range(inputs.shape[0]):
        total = margin = 0.0
        for member in range(weights.size):
            total += inputs[i, member]
            margin += weights[member] * inputs[i, member]
        margin += trust[i] * (total / weights.size)
        probability[i] = 1.0 / (1.0 + math.exp(-margin))


class MetaModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One logistic regression per horizon (in bars, as text), over `members` in this order.

    Where a bundle has networks, `without_networks` are the regressions over the other members, which
    stand first: they answer where a network can not.
    """

    members: tuple[str, ...]
    horizons: dict[str, LogisticModel]
    without_networks: dict[str, LogisticModel] = {}

    @classmethod
    def from_json(
        cls,
        text: bytes,
        horizons: Sequence[int],
        row_members: Sequence[str],
        networks: Sequence[str] = (),
    ) -> MetaModel:
        """Raises ValueError or MsgspecError where it is not a finite model of these members."""
        model = msgspec.json.decode(text, type=cls)
        expected = {str(horizon) for horizon in horizons}
        of_rows = expected if networks else set()
        found = set(model.horizons), set(model.without_networks)
        if model.members != (*row_members, *networks) or found != (expected, of_rows):
            was = f"members {model.members} at horizons {sorted(model.horizons)}"
            raise ValueError(was[:_LONGEST_WORDS])
        for logistic in model.horizons.values():
            _check(logistic, len(model.members))
        for logistic in model.without_networks.values():
            _check(logistic, len(row_members))
        return model


def _check(logistic: LogisticModel, n_members: int) -> None:
    volatility = logistic.volatility
    numbers = (*logistic.weights, volatility.centre, volatility.spread, volatility.slope)
    if len(logistic.weights) != n_members or not np.isfinite(numbers).all():
        raise ValueError("a weight is missing or not finite")
    if volatility.spread <= 0.0:
        raise ValueError(f"a spread of {volatility.spread}")
