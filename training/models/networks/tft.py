"""Which network chooses its features anew at each step: the temporal fusion transformer.

Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for Interpretable Multi-horizon Time Series
Forecasting", 2021, without what has no place here: static covariates, known future inputs, quantiles.
All variable networks are one grouped product; a module for each of 80 features is ten times slower.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.networks.attention import NewestAttention
from training.models.networks.base import Dropout, Heads, WindowNetwork


class TFT(WindowNetwork):
    """Variable selection, LSTM, gated attention of the newest step, gated residual network, heads."""

    def __init__(
        self,
        n_features: int,
        n_steps: int,
        n_heads: int,
        generator: torch.Generator,
        *,
        of_each_variable: int = 8,
        width: int = 32,
        attention_heads: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(n_features, n_steps, n_heads)
        self.dropout = Dropout(dropout, generator)
        self.select = _VariableSelection(n_features, of_each_variable, width)
        self.encoder = nn.LSTM(width, width, batch_first=True)
        self.after_encoder = _Gate(width)
        self.attention = NewestAttention(width, attention_heads)
        self.after_attention = _Gate(width)
        self.last = _GatedResidual(width, width)
        self.out = Heads(width, n_heads, self.dropout)

    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        each = self.select(self.scaler(rows).flatten(0, 1))
        chosen = each.reshape(-1, self.n_steps - 1, each.shape[1])
        encoded, (hidden, cell) = self.encoder(chosen)
        steps = self.after_encoder(self.dropout(encoded), chosen)
        return hidden[0], cell[0], *self.attention.remember(steps)

    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        hidden, cell, keys, values = state
        chosen = self.select(self.scaler(row)).unsqueeze(1)
        encoded, _ = self.encoder(chosen, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        newest = self.after_encoder(self.dropout(encoded), chosen)[:, 0]
        taken = self.attention(newest, keys, values)
        attended = self.after_attention(self.dropout(taken), newest)
        return self.out(self.last(attended, self.dropout))


class _VariableSelection(nn.Module):
    """A vector for every feature, and weights that say how much of each to take, at each step."""

    def __init__(self, n_features: int, of_each: int, width: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.randn(n_features, of_each) / 2)
        self.offset = nn.Parameter(torch.randn(n_features, of_each) / 2)
        self.inner = nn.Parameter(torch.randn(n_features, of_each, of_each) / of_each**0.5)
        self.weigh = nn.Sequential(nn.Linear(n_features, width), nn.ELU(), nn.Linear(width, n_features))
        self.widen = nn.Linear(of_each, width)

    def forward(self, scaled: Tensor) -> Tensor:
        """(n, width) from (n, features)."""
        vectors = nn.functional.elu(scaled.unsqueeze(2) * self.slope + self.offset)
        weights = torch.softmax(self.weigh(scaled), dim=1)
        # Weighted first and multiplied once: one product for all features instead of one for each.
        weighted = (vectors * weights.unsqueeze(2)).flatten(1)
        chosen: Tensor = self.widen(weighted @ self.inner.flatten(0, 1))
        return chosen


class _Gate(nn.Module):
    """As much of a part as a gate lets through, added to what the part was made of, and normed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, part: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.norm(nn.functional.glu(self.gate(part), dim=-1) + residual)
        return normed


class _GatedResidual(nn.Module):
    """The gated residual network of the paper."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, inner), nn.ELU(), nn.Linear(inner, width))
        self.gate = _Gate(width)

    def forward(self, x: Tensor, dropout: Dropout) -> Tensor:
        gated: Tensor = self.gate(dropout(self.inner(x)), x)
        return gated
