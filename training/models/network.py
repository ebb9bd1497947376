"""How does a network over windows become a member?"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadow.statistics import auc
from training.checkpoint import Epochs
from training.models.augment import Augmentation
from training.models.losses import DirectionLoss
from training.models.networks.base import WindowNetwork
from training.models.networks.lstm import LSTM, BidirectionalLSTM
from training.models.networks.tcn import TCN
from training.models.networks.tft import TFT
from training.models.networks.transformer import Transformer
from training.models.torch_fit import EpochDone, FitSettings, best_device, fit, predict
from training.windows import Windows

ARCHITECTURES: Mapping[str, Callable[..., WindowNetwork]] = {
    "lstm": LSTM,
    "bidirectional lstm": BidirectionalLSTM,
    "tft": TFT,
    "tcn": TCN,
    "transformer": Transformer,
}
Answering = Literal["own", "best", "blended", "single"]
_PREDICTED_AT_ONCE = 1024
_making = threading.Lock()  # weights are drawn from torch's one global generator


@dataclass(frozen=True, kw_only=True)
class NetworkMember:
    """One architecture over windows of a feature set, with a head for each horizon.

    `answering` says which heads answer at a horizon: its own; the one that is best on the validation
    block, for all; all of them, blended by the horizon weights; or the single head of the first
    horizon, which alone is learnt then.
    """

    name: str
    architecture: str
    feature_set: str = "sequence"
    n_steps: int = 48
    shape: Mapping[str, Any] = field(default_factory=dict)
    settings: FitSettings = field(default_factory=FitSettings)
    horizon_weights: tuple[float, ...] = (0.4, 0.35, 0.25)
    focal: float = 0.0
    diversity: float = 0.0
    distilled: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    answering: Answering = "own"
    kind: Literal["network"] = "network"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was told, for the record of the run."""
        told = asdict(self)
        return {name: told[name] for name in told if name not in ("name", "feature_set", "kind")}

    def build(self, n_features: int, n_heads: int, seed: int) -> tuple[WindowNetwork, torch.Generator]:
        """The network before it has learnt, and the generator that its dropout draws from."""
        generator = torch.Generator(best_device()).manual_seed(seed)
        with _making:
            torch.manual_seed(seed)
            make = ARCHITECTURES[self.architecture]
            return make(n_features, self.n_steps, n_heads, generator, **self.shape), generator

    def learn(
        self,
        windows: Windows,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        targets: NDArray[np.float32],
        n_heads: int,
        seed: int,
        *,
        epochs: Epochs | None = None,
        epoch_done: EpochDone | None = None,
    ) -> NetworkModel:
        """Learn from the whole windows among the rows `train` and stop by those among `validation`.

        `targets` (all rows, n_heads) are labels, NaN where not known; behind them, where the member is
        `distilled`, as many columns of a teacher's probabilities. `epochs` and `epoch_done` as in
        `torch_fit.fit`.
        """
        network, generator = self.build(windows.values.shape[1], n_heads, seed)
        learnt_from, stopped_by = (
            WindowExamples(windows, _learnable(windows, rows, targets), targets)
            for rows in (train, validation)
        )
        network.scaler.fit(torch.from_numpy(windows.values[windows.end[learnt_from.rows]]))
        weights = self._loss_weights(n_heads)
        fitted = fit(
            network,
            learnt_from,
            stopped_by,
            DirectionLoss(weights, self.focal, self.diversity, self.distilled),
            FitSettings(**{**asdict(self.settings), "seed": seed}),
            generator=generator,
            augment=self.augmentation if self.augmentation != Augmentation() else None,
            epochs=epochs,
            epoch_done=epoch_done,
        )
        log_odds = predict(network, stopped_by)
        by_head = [
            auc(log_odds[known, head].astype(np.float64), labels[known].astype(np.float64))
            for head, labels in enumerate(stopped_by.labels[:, :n_heads].T)
            for known in [~np.isnan(labels)]
        ]
        network.mix.weights.copy_(_mix(self.answering, by_head, weights))
        return NetworkModel(network, fitted.curves, fitted.best_epoch, fitted.seconds, tuple(by_head))

    def load(self, content: bytes, n_features: int, n_heads: int) -> NetworkModel:
        """The model whose `NetworkModel.content` that is."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            kept = {name: archive[name] for name in archive.files}
        seconds, best_epoch, *by_head = kept.pop("told").tolist()
        curves = kept.pop("curves")
        network, _ = self.build(n_features, n_heads, seed=0)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in kept.items()})
        network.eval()
        return NetworkModel(network, curves, int(best_epoch), seconds, tuple(by_head))

    def _loss_weights(self, n_heads: int) -> tuple[float, ...]:
        if self.answering == "single":
            return (1.0, *([0.0] * (n_heads - 1)))
        return (
            self.horizon_weights if len(self.horizon_weights) == n_heads else (1 / n_heads,) * n_heads
        )


@dataclass(frozen=True)
class WindowExamples:
    """Whole windows as examples; `rows` are row numbers of the dataset."""

    windows: Windows
    rows: NDArray[np.int64]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.rows.size)

    @property
    def labels(self) -> NDArray[np.float32]:
        return self.targets[self.rows]

    def batch(self, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """As `torch_fit.Examples`."""
        rows = self.rows[numbers]
        return torch.from_numpy(self.windows.of(rows)), torch.from_numpy(self.targets[rows])


@dataclass(frozen=True)
class NetworkModel:
    """A network that has learnt; `by_head` are the AUCs of its heads on the block it was stopped by."""

    network: WindowNetwork
    curves: NDArray[np.float64]
    best_epoch: int
    seconds: float
    by_head: tuple[float, ...]

    def content(self) -> bytes:
        """All of it, as a numpy archive; `NetworkMember.load` reads it again."""
        told = np.array([self.seconds, self.best_epoch, *self.by_head])
        weights = {name: one.numpy() for name, one in self.network.state_dict().items()}
        buffer = io.BytesIO()
        np.savez(buffer, **{"told": told, "curves": self.curves, **weights})
        return buffer.getvalue()

    def predict(self, windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability of "up", (n, horizons), of `rows`; NaN where the window is not whole."""
        said = np.full((rows.size, self.network.n_heads), np.nan)
        (whole,) = windows.whole[rows].nonzero()
        for first in range(0, whole.size, _PREDICTED_AT_ONCE):
            some = whole[first : first + _PREDICTED_AT_ONCE]
            said[some] = probabilities(self.network, torch.from_numpy(windows.of(rows[some])))
        return said


def probabilities(network: WindowNetwork, windows: Tensor) -> NDArray[np.float32]:
    """What is served of `windows` (n, n_steps, features), by torch: (n, horizons)."""
    torch.set_num_threads(1)
    network.eval()
    with torch.inference_mode():
        served = network.step(windows[:, -1], *network.history(windows[:, :-1]))
    return served.numpy()


def _learnable(
    windows: Windows, rows: NDArray[np.int64], targets: NDArray[np.float32]
) -> NDArray[np.int64]:
    return rows[windows.whole[rows] & ~np.isnan(targets[rows]).all(axis=1)]


def _mix(answering: Answering, by_head: list[float], weights: tuple[float, ...]) -> Tensor:
    """The weights (horizons, heads) by which heads answer."""
    n_heads = len(by_head)
    if answering == "own":
        return torch.eye(n_heads)
    if answering == "blended":
        return torch.tensor(weights).repeat(n_heads, 1)
    chosen = int(np.argmax(by_head)) if answering == "best" else 0
    return torch.eye(n_heads)[chosen].repeat(n_heads, 1)
