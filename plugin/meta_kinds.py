"""Which kinds of meta-model are there, and how does each answer?

A weighted sum of log odds, boosted trees, and a small network. None of them has an opinion of its own:
asked with all log odds turned round it says the opposite, so members that say nothing lead to one half,
whatever the past share of "up" was. The sum has no intercept; the other two are asked twice, and half
of the difference counts.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.features.compiled import compiled
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.trees import Trees

_SPREAD_LIMIT = 3.0
_MOST_HIDDEN = 64


class Volatility(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The volatility in standard deviations around `centre`."""

    centre: float
    spread: float

    def standardised(self, log_volatility: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviations from the centre, at most `_SPREAD_LIMIT` of them."""
        deviations = np.empty(log_volatility.size)
        # A column of one row is contiguous, one of several is not: a kernel for each of them.
        together = np.ascontiguousarray(log_volatility)
        _write_deviations(together, self.centre, self.spread, deviations)
        return deviations

    def check(self) -> None:
        """Raise ValueError where these are no numbers to divide by."""
        if not (math.isfinite(self.centre) and math.isfinite(self.spread) and self.spread > 0.0):
            raise ValueError(f"a centre of {self.centre} and a spread of {self.spread}")


class LogisticModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="logistic"):
    """`sigmoid(weights · log odds + slope * standardised volatility * mean of the log odds)`: each
    member has a weight, and volatility says how far to trust them all."""

    weights: tuple[float, ...]
    volatility: Volatility
    slope: float

    def probability(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of "up" for each row of `inputs`, (n, members + 1) from `meta_inputs`. The
        answer to a row has the same bits whatever stands beside it."""
        probability = np.empty(inputs.shape[0])
        volatility = self.volatility.standardised(inputs[:, -1])
        _write_weighted(inputs, np.array(self.weights), volatility, self.slope, probability)
        return probability

    def check(self, n_members: int) -> None:
        """Raise ValueError where it is not a finite model over so many members."""
        self.volatility.check()
        if len(self.weights) != n_members or not np.isfinite((*self.weights, self.slope)).all():
            raise ValueError("a weight is missing or not finite")


class BoostedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="boosted"):
    """A LightGBM over the log odds and the logarithm of the volatility, as the library's own text."""

    n_members: int
    text: str
    FEATURES: ClassVar[str] = "input_{}"

    def probability(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `LogisticModel.probability`."""
        trees = _trees(self.text, self.n_members)
        asked = np.ascontiguousarray(inputs, dtype=np.float32)
        turned = asked.copy()
        turned[:, :-1] *= -1.0
        probability = trees.probability(asked)
        write_half_of_difference(trees.probability(turned), probability)
        probability[np.isnan(inputs).any(axis=1)] = np.nan  # a tree sends NaN somewhere
        return probability

    def check(self, n_members: int) -> None:
        """As `LogisticModel.check`."""
        if self.n_members != n_members:
            raise ValueError(f"trees over {self.n_members} members")
        try:
            _trees(self.text, self.n_members)
        except BundleRefused as error:
            raise ValueError(str(error)) from error


@lru_cache(maxsize=64)
def _trees(text: str, n_members: int) -> Trees:
    names = [BoostedModel.FEATURES.format(number) for number in range(n_members + 1)]
    return read_lightgbm(
        "the meta-model", text.encode("ascii", "replace"), names, np.arange(len(names))
    )


class NetworkModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="network"):
    """One hidden layer of tanh over the log odds, in units of `unit`, and the standardised volatility.

    `hidden` has a row of weights for each neuron: of the members, of the volatility, and its bias;
    `out` what each neuron weighs.
    """

    unit: float
    volatility: Volatility
    hidden: tuple[tuple[float, ...], ...]
    out: tuple[float, ...]

    def probability(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `LogisticModel.probability`."""
        probability = np.empty(inputs.shape[0])
        log_odds = inputs[:, :-1] / self.unit
        volatility = self.volatility.standardised(inputs[:, -1])
        _write_network(log_odds, volatility, np.array(self.hidden), np.array(self.out), probability)
        return probability

    def check(self, n_members: int) -> None:
        """As `LogisticModel.check`."""
        self.volatility.check()
        n_hidden, n_weights = len(self.hidden), n_members + 2
        if not 1 <= n_hidden <= _MOST_HIDDEN or len(self.out) != n_hidden:
            raise ValueError(f"{n_hidden} neurons and {len(self.out)} weights of them")
        if any(len(neuron) != n_weights for neuron in self.hidden):
            raise ValueError(f"a neuron without {n_weights} weights")
        numbers = np.concatenate([*self.hidden, self.out, [self.unit]])
        if not np.isfinite(numbers).all() or not self.unit > 0.0:
            raise ValueError("a weight is not finite, or the unit is not above 0")


# Loops, not matrix products: their bits do not depend on the number of rows.


@compiled
def _write_deviations(
    log_volatility: NDArray[np.float64], centre: float, spread: float, out: NDArray[np.float64]
) -> None:
    for i in range(out.size):
        deviation = (log_volatility[i] - centre) / spread
        # By comparison, because NaN fails it and so stays NaN.
        if abs(deviation) > _SPREAD_LIMIT:
            deviation = math.copysign(_SPREAD_LIMIT, deviation)
        out[i] = deviation


@compiled
def _write_weighted(
    inputs: NDArray[np.float64],
    weights: NDArray[np.float64],
    volatility: NDArray[np.float64],
    slope: float,
    probability: NDArray[np.float64],
) -> None:
    for i in range(inputs.shape[0]):
        total = margin = 0.0
        for member in range(weights.size):
            total += inputs[i, member]
            margin += weights[member] * inputs[i, member]
        margin += slope * volatility[i] * (total / weights.size)
        probability[i] = 1.0 / (1.0 + math.exp(-margin))


@compiled
def write_half_of_difference(turned: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
    """Make of each `probability` half of what its log odds are above those of the `turned` question."""
    for i in range(turned.size):
        own = math.log(probability[i]) - math.log1p(-probability[i])
        other = math.log(turned[i]) - math.log1p(-turned[i])
        probability[i] = 1.0 / (1.0 + math.exp(-0.5 * (own - other)))


@compiled
def _write_network(
    log_odds: NDArray[np.float64],
    volatility: NDArray[np.float64],
    hidden: NDArray[np.float64],
    out: NDArray[np.float64],
    probability: NDArray[np.float64],
) -> None:
    n_members = log_odds.shape[1]
    for i in range(log_odds.shape[0]):
        margin = 0.0
        for neuron in range(out.size):
            weights = hidden[neuron]
            known = weights[n_members] * volatility[i] + weights[n_members + 1]
            said = 0.0
            for member in range(n_members):
                said += weights[member] * log_odds[i, member]
            margin += out[neuron] * (math.tanh(known + said) - math.tanh(known - said))
        probability[i] = 1.0 / (1.0 + math.exp(-0.5 * margin))
