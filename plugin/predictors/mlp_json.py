"""How is a multilayer perceptron over one row read from its JSON, and answered?

The format is our own, written by `training.models.mlp`: what each feature is moved and divided by, and
a few small networks whose answers are averaged. They are answered by a kernel instead of a runtime: for
so little arithmetic the call alone would cost as much, and the host needs nothing more installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.errors import BundleRefused
from plugin.features.compiled import compiled

FURTHEST = 3.0
"""Spreads: a feature comes near them and never passes."""
_MOST_NEURONS = 1024


class Layers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network: a hidden layer of rectified linear units, and the log odds of "up" from them.

    `hidden` has a row of weights for each feature and then one of biases; `out` is what each neuron
    weighs, and then the bias.
    """

    hidden: tuple[tuple[float, ...], ...]
    out: tuple[float, ...]


class MLPFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file. A feature is moved by its `centre` and divided by its `spread`."""

    features: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    networks: tuple[Layers, ...]

    def check(self) -> None:
        """Raise ValueError where these are not finite networks over the features."""
        n_features = len(self.features)
        spread = np.array(self.spread)
        if len(self.centre) != n_features or spread.shape != (n_features,) or not (spread > 0.0).all():
            raise ValueError("a centre and a spread above 0 of every feature")
        neurons = sum(len(one.out) - 1 for one in self.networks)
        if not self.networks or not 1 <= neurons <= _MOST_NEURONS:
            raise ValueError(f"1 to {_MOST_NEURONS} neurons, was {neurons}")
        for one in self.networks:
            if [len(row) for row in one.hidden] != [len(one.out) - 1] * (n_features + 1):
                raise ValueError("a weight of every feature, and a bias, for every neuron")
        numbers = [*self.centre, *self.spread]
        for one in self.networks:
            numbers += [*one.out, *(weight for row in one.hidden for weight in row)]
        if not np.isfinite(numbers).all():
            raise ValueError("finite numbers")


@dataclass(frozen=True)
class MLP:
    """The networks side by side: `hidden` (features + 1, neurons), `out` (neurons,) with the number of
    its network for each neuron, `bias` (networks,). Feature j stands in column `columns[j]`."""

    columns: NDArray[np.int64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    hidden: NDArray[np.float64]
    out: NDArray[np.float64]
    network: NDArray[np.int64]
    bias: NDArray[np.float64]

    @classmethod
    def of(cls, file: MLPFile, columns: NDArray[np.int64]) -> MLP:
        """The networks of a file that was checked."""
        networks = file.networks
        return cls(
            columns=columns,
            centre=np.array(file.centre),
            spread=np.array(file.spread),
            hidden=np.concatenate([np.array(one.hidden) for one in networks], axis=1),
            out=np.concatenate([np.array(one.out[:-1]) for one in networks]),
            network=np.repeat(np.arange(len(networks)), [len(one.out) - 1 for one in networks]),
            bias=np.array([one.out[-1] for one in networks]),
        )

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `plugin.predictors.base.Predictor`."""
        probability = np.empty(len(rows))
        _write_mean(
            rows,
            self.columns,
            self.centre,
            self.spread,
            self.hidden,
            self.out,
            self.network,
            self.bias,
            probability,
        )
        return probability


def read_mlp(file: str, text: bytes, feature_names: Sequence[str], columns: NDArray[np.int64]) -> MLP:
    """The networks over `feature_names`; feature j stands in column `columns[j]` of the rows.

    Raises BundleRefused where the text is not such a file.
    """
    try:
        read = msgspec.json.decode(text, type=MLPFile)
        if read.features != tuple(feature_names):
            raise ValueError("other features")
        read.check()
    except (ValueError, RecursionError) as error:
        raise BundleRefused(file, "perceptrons over the features of the member", error) from error
    return MLP.of(read, columns)


# Loops, not matrix products: their bits do not depend on the number of rows. The inner one runs over
# neurons, each of which has a sum of its own, so that the compiler may take several at once.
@compiled
def _write_mean(
    rows: NDArray[np.float32],
    columns: NDArray[np.int64],
    centre: NDArray[np.float64],
    spread: NDArray[np.float64],
    hidden: NDArray[np.float64],
    out: NDArray[np.float64],
    network: NDArray[np.int64],
    bias: NDArray[np.float64],
    probability: NDArray[np.float64],
) -> None:
    n_features, n_neurons = columns.size, out.size
    neurons = np.empty(n_neurons)
    margins = np.empty(bias.size)
    for i in range(rows.shape[0]):
        neurons[:] = hidden[n_features]
        for j in range(n_features):
            distance = (rows[i, columns[j]] - centre[j]) / spread[j]
            near = FURTHEST * math.tanh(distance / FURTHEST)
            for k in range(n_neurons):
                neurons[k] += hidden[j, k] * near
        margins[:] = bias
        for k in range(n_neurons):
            # By comparison, because NaN fails it and so stays NaN.
            if not neurons[k] <= 0.0:
                margins[network[k]] += out[k] * neurons[k]
        total = 0.0
        for number in range(bias.size):
            total += 1.0 / (1.0 + math.exp(-margins[number]))
        probability[i] = total / bias.size
