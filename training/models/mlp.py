"""How does a multilayer perceptron over one row learn?

It bends where trees step, and errs elsewhere than they do: alone it is no better, beside them it adds
more than another tree would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from plugin.predictors.mlp_json import FURTHEST, Layers, MLPFile

# Chosen by walk-forward on bars before 2021 alone; see docs/training.md.
_EPOCHS, _N_NETWORKS = 5, 3
# Batches, however many epochs they make: with fewer, what was learnt is lost in how it was begun.
_LEAST_STEPS = 300
PARAMETERS: dict[str, Any] = {"hidden_layer_sizes": (32,), "alpha": 1.0, "batch_size": 512}
_OF_NORMAL = 1.349  # quartiles of a normal distribution lie so many standard deviations apart


@dataclass(frozen=True)
class MLPModel:
    """What stands in the file."""

    file: MLPFile

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `base.Model`."""
        near = _near(rows, np.array(self.file.centre), np.array(self.file.spread))
        probability: NDArray[np.float64] = np.mean(
            [_answer(one, near) for one in self.file.networks], axis=0
        )
        return probability

    def content(self) -> bytes:
        """As `base.Model`."""
        return msgspec.json.encode(self.file)

    def gains(self) -> NDArray[np.float64]:
        """The weight that each feature has in the log odds, by way of all neurons, without signs."""
        weights = [(np.array(one.hidden[:-1]), np.array(one.out[:-1])) for one in self.file.networks]
        gains: NDArray[np.float64] = np.sum(
            [np.abs(into) @ np.abs(out) for into, out in weights], axis=0
        )
        return gains


@dataclass(frozen=True)
class MLPRows:
    """The rows of all folds; each fold is scaled by what it learns from."""

    rows: NDArray[np.float32]
    names: tuple[str, ...]

    def fit(self, train: NDArray[np.int64], up: NDArray[np.float64], seed: int) -> MLPModel:
        """As `base.Binned`."""
        rows = self.rows[train]
        centre, spread = _scale(rows)
        moves = spread > 0.0
        spread = np.where(moves, spread, 1.0)
        near = _near(rows, centre, spread).astype(np.float32)
        networks = tuple(
            _layers(_fitted(near, up[train], seed + number), moves) for number in range(_N_NETWORKS)
        )
        return MLPModel(MLPFile(self.names, tuple(centre.tolist()), tuple(spread.tolist()), networks))


@dataclass(frozen=True)
class MLPMember:
    """The mean of a few perceptrons over one feature set, which differ by their seeds."""

    name: str
    feature_set: str
    kind: Literal["mlp"] = "mlp"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As `base.Member`."""
        return {**PARAMETERS, "epochs": _EPOCHS, "least_steps": _LEAST_STEPS, "networks": _N_NETWORKS}

    def bin(
        self, rows: NDArray[np.float32], first_block: NDArray[np.int64], names: Sequence[str]
    ) -> MLPRows:
        """As `base.Member`; nothing is shared by the folds but the rows."""
        return MLPRows(rows, tuple(names))

    def load(self, content: bytes) -> MLPModel:
        """As `base.Member`."""
        return MLPModel(msgspec.json.decode(content, type=MLPFile))


def _scale(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and spread of each feature: by the quartiles, or where those are one the standard
    deviation. It is 0 of a feature that never moves."""
    low, centre, high = np.percentile(rows, [25, 50, 75], axis=0).astype(np.float64)
    spread = (high - low) / _OF_NORMAL
    return centre, np.where(spread > 0.0, spread, rows.std(axis=0, dtype=np.float64))


def _near(
    rows: NDArray[np.float32], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    near: NDArray[np.float64] = FURTHEST * np.tanh((rows - centre) / spread / FURTHEST)
    return near


def _fitted(near: NDArray[np.float32], up: NDArray[np.float64], seed: int) -> MLPClassifier:
    network = MLPClassifier(**PARAMETERS, random_state=seed)
    n_epochs = max(_EPOCHS, -(-_LEAST_STEPS * PARAMETERS["batch_size"] // len(near)))
    for _ in range(n_epochs):  # `fit` would warn that so few are not enough, which is the point of them
        network.partial_fit(near, up, classes=[0.0, 1.0])
    return network


def _layers(network: MLPClassifier, moves: NDArray[np.bool_]) -> Layers:
    (hidden, out), (bias, bias_out) = network.coefs_, network.intercepts_
    # Of a feature that never moved nothing was learnt: what it says one day must not count.
    rows = np.vstack([hidden * moves[:, None], bias]).astype(np.float64)
    return Layers(tuple(map(tuple, rows.tolist())), (*out[:, 0].tolist(), float(bias_out[0])))


def _answer(one: Layers, near: NDArray[np.float64]) -> NDArray[np.float64]:
    hidden, out = np.array(one.hidden), np.array(one.out)
    neurons = np.maximum(np.einsum("nf,fk->nk", near, hidden[:-1]) + hidden[-1], 0.0)
    answer: NDArray[np.float64] = 1.0 / (
        1.0 + np.exp(-(np.einsum("nk,k->n", neurons, out[:-1]) + out[-1]))
    )
    return answer
