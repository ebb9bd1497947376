"""What is a network over a window, so that almost all of it can be asked before the bar closes?

A window of T bars shares T - 1 with what is known before the close. So a network is written as two
functions: `history` of the first T - 1 rows, asked between bars, leads to a state, and `step` takes the
newest row and that state to the answer. The whole network is their composition by definition: there is
nothing that could drift apart. Both are exported with the same weights (`training.export`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

_FURTHEST = 5.0  # standard deviations: beyond them a feature of markets says "far out" and no more


class WindowNetwork(nn.Module, ABC):
    """A network over (n, n_steps, n_features) with one log odds of "up" for each of `n_heads` horizons.

    Rows are raw features: `scaler` is part of the network.
    """

    def __init__(self, n_features: int, n_steps: int, n_heads: int) -> None:
        super().__init__()
        self.n_features, self.n_steps, self.n_heads = n_features, n_steps, n_heads
        self.scaler = Scaler(n_features)
        self.mix = Mix(n_heads)

    @abstractmethod
    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The state after `rows` (n, n_steps - 1, n_features); each of its tensors is (n, ...)."""

    @abstractmethod
    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        """The log odds of each head, (n, n_heads), when `row` (n, n_features) follows upon `state`."""

    def step(self, row: Tensor, *state: Tensor) -> Tensor:
        """The probability of "up" at each horizon, (n, n_heads), as it is served."""
        return torch.sigmoid(self.mix(self.heads(row, *state)))

    def forward(self, window: Tensor) -> Tensor:
        """The log odds of each head, (n, n_heads), of whole windows: what is learnt."""
        return self.heads(window[:, -1], *self.history(window[:, :-1]))

    def __call__(self, window: Tensor) -> Tensor:
        """As `forward`."""
        log_odds: Tensor = super().__call__(window)
        return log_odds

    @property
    def n_parameters(self) -> int:
        return sum(one.numel() for one in self.parameters())


class Scaler(nn.Module):
    """Centre and spread of each feature, taken from training rows alone."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.centre: Tensor
        self.spread: Tensor

    def fit(self, rows: Tensor) -> None:
        """Learn from `rows` (n, n_features); a feature that never moves is left where it is."""
        spread = rows.std(dim=0, correction=0)
        self.centre.copy_(rows.mean(dim=0))
        self.spread.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def forward(self, rows: Tensor) -> Tensor:
        return ((rows - self.centre) / self.spread).clamp(-_FURTHEST, _FURTHEST)


class Mix(nn.Module):
    """Which heads answer at which horizon: weights (horizons, heads) on their log odds."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.eye(n_heads))
        self.weights: Tensor

    def forward(self, log_odds: Tensor) -> Tensor:
        return log_odds @ self.weights.T


class Dropout(nn.Module):
    """Drops by a generator of its own: networks learn side by side, and none may disturb another."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self._generator = share, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        kept = torch.empty_like(x).bernoulli_(1.0 - self.share, generator=self._generator)
        return x * kept / (1.0 - self.share)


class Heads(nn.Module):
    """One small head for each horizon on a shared trunk, all as one grouped product."""

    def __init__(self, width: int, n_heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width * n_heads)
        self.out = nn.Parameter(torch.randn(n_heads, width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(n_heads))
        self.dropout = dropout

    def __call__(self, trunk: Tensor) -> Tensor:
        log_odds: Tensor = super().__call__(trunk)
        return log_odds

    def forward(self, trunk: Tensor) -> Tensor:
        inner = torch.relu(self.inner(self.dropout(trunk)))
        inner = inner.reshape(-1, *self.out.shape)
        return (inner * self.out).sum(dim=2) + self.bias
