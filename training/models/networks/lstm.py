"""Which network remembers by itself: long short-term memory, with a head for each horizon.

Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from training.models.networks.base import Dropout, Heads, WindowNetwork


class LSTM(WindowNetwork):
    """Layers of LSTM one upon the other; the newest output feeds the heads."""

    def __init__(
        self,
        n_features: int,
        n_steps: int,
        n_heads: int,
        generator: torch.Generator,
        *,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(n_features, n_steps, n_heads)
        self.dropout = Dropout(dropout, generator)
        widths = [n_features] + [hidden] * layers
        self.layers = nn.ModuleList(
            nn.LSTM(before, after, batch_first=True) for before, after in pairwise(widths)
        )
        self.out = Heads(hidden, n_heads, self.dropout)

    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        x = self.scaler(rows)
        state = []
        for number, layer in enumerate(self.layers):
            x, (hidden, cell) = layer(self.dropout(x) if number else x)
            state += [hidden[0], cell[0]]
        return tuple(state)

    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        x = self.scaler(row).unsqueeze(1)
        for number, layer in enumerate(self.layers):
            hidden, cell = state[2 * number], state[2 * number + 1]
            x, _ = layer(self.dropout(x) if number else x, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        return self.out(x[:, 0])


class BidirectionalLSTM(WindowNetwork):
    """An LSTM that also reads the window backwards, from the newest row to the oldest.

    Backwards everything depends on the newest row, so there is nothing to prepare: the state is the
    rows themselves, and the close pays for the whole window.
    """

    def __init__(
        self,
        n_features: int,
        n_steps: int,
        n_heads: int,
        generator: torch.Generator,
        *,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(n_features, n_steps, n_heads)
        self.dropout = Dropout(dropout, generator)
        widths = [n_features] + [2 * hidden] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(before, hidden, batch_first=True, bidirectional=True) for before in widths
        )
        self.out = Heads(2 * hidden, n_heads, self.dropout)

    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        return (self.scaler(rows),)

    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        x = torch.cat([state[0], self.scaler(row).unsqueeze(1)], dim=1)
        for number, layer in enumerate(self.layers):
            x, _ = layer(self.dropout(x) if number else x)
        return self.out(x.mean(dim=1))
