"""Which networks forecast prices: the recurrent ones of the tutorials?

Their last layer begins at zero, so that each sets out from "no change" and leaves it only for what it
finds. They are trained by the project's one loop, `training.models.torch_fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.models.networks.base import Dropout
from training.models.torch_fit import FitSettings, best_device, fit, predict
from training.price.models import Learnt, Step
from training.price.rows import N_FEATURES, PriceRows

Cell = Literal["RNN", "GRU", "LSTM"]
_DROPOUT = 0.2
_MOST_VALIDATED = 3_000
_CELLS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}


class Recurrent(nn.Module):
    """Recurrent layers one upon the other, then one number of what the last remembers."""

    def __init__(
        self, cell: Cell, widths: Sequence[int], generator: torch.Generator, *, bidirectional: bool
    ) -> None:
        super().__init__()
        ways = 2 if bidirectional else 1
        before = [N_FEATURES, *(ways * width for width in widths[:-1])]
        self.layers = nn.ModuleList(
            _CELLS[cell](size, width, batch_first=True, bidirectional=bidirectional)
            for size, width in zip(before, widths, strict=True)
        )
        self.dropout = Dropout(_DROPOUT, generator)
        self.last_width = widths[-1]
        self.out = nn.Linear(ways * widths[-1], 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, window: Tensor) -> Tensor:
        x = window
        for layer in self.layers:
            x, _ = layer(x)
            x = self.dropout(x)
        # Whoever reads backwards has read all when it reaches the oldest bar.
        forwards, backwards = x[:, -1, : self.last_width], x[:, 0, self.last_width :]
        said: Tensor = self.out(torch.cat([forwards, backwards], dim=1))
        return said


@dataclass(frozen=True)
class PriceExamples:
    """Rows as `training.models.torch_fit.Examples`."""

    rows: PriceRows
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.numbers.size)

    def batch(self, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Windows (n, window, 5) and the returns that followed (n, 1)."""
        rows = self.numbers[numbers]
        targets = self.rows.targets(rows)[:, None]
        return torch.from_numpy(self.rows.windows(rows)), torch.from_numpy(targets)


@dataclass(frozen=True)
class RecurrentModel:
    """A recurrent network as a price model. An epoch takes `per_epoch` of the rows."""

    name: str
    cell: Cell
    widths: tuple[int, ...]
    epochs: int
    per_epoch: int
    bidirectional: bool = False

    def learn(self, rows: PriceRows, seed: int, step: Step) -> Learnt:
        generator = torch.Generator(best_device()).manual_seed(seed)
        torch.manual_seed(seed)
        network = Recurrent(self.cell, self.widths, generator, bidirectional=self.bidirectional)
        settings = FitSettings(
            epochs=self.epochs, patience=3, per_epoch=self.per_epoch, batch_size=128, seed=seed
        )
        fitted = fit(
            network,
            PriceExamples(rows, rows.train),
            PriceExamples(rows, _thinned(rows.validation)),
            nn.functional.mse_loss,
            settings,
            generator=generator,
            epoch_done=step,
        )
        return Learnt(
            lambda numbers: predict(network, PriceExamples(rows, numbers))[:, 0].astype(np.float64),
            n_parameters=sum(one.numel() for one in network.parameters()),
            chosen={"best_epoch": fitted.best_epoch, "epochs": len(fitted.curves)},
        )


def networks(epochs: int, *, bidirectional: bool) -> tuple[RecurrentModel, ...]:
    """The three of the tutorials. The larger one is shown fewer rows an epoch, so that a coin takes
    minutes on one core."""
    stacked = "bidirectional LSTM" if bidirectional else "stacked LSTM"
    return (
        RecurrentModel("simple RNN", "RNN", (64,), epochs, per_epoch=8_000),
        RecurrentModel("GRU", "GRU", (64,), epochs, per_epoch=8_000),
        RecurrentModel(stacked, "LSTM", (128, 64, 32), epochs, 4_000, bidirectional),
    )


def _thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neighbouring windows are nearly the same: some of them tell when to stop."""
    return rows[:: max(1, -(-rows.size // _MOST_VALIDATED))]
