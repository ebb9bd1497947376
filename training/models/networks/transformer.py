"""Which network lets every step look at all steps before it: a transformer encoder.

Vaswani et al., "Attention Is All You Need", 2017, with the norm before each part (Xiong et al., "On
Layer Normalization in the Transformer Architecture", 2020). A step sees only what came before it:
otherwise the newest row would change all others, and nothing could be prepared.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.models.networks.attention import NewestAttention
from training.models.networks.base import Dropout, Heads, WindowNetwork


class Transformer(WindowNetwork):
    """Causal encoder layers upon rows with a sinusoidal mark of their position."""

    def __init__(
        self,
        n_features: int,
        n_steps: int,
        n_heads: int,
        generator: torch.Generator,
        *,
        width: int = 48,
        layers: int = 2,
        attention_heads: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(n_features, n_steps, n_heads)
        self.dropout = Dropout(dropout, generator)
        self.narrow = nn.Linear(n_features, width)
        self._layers = [_Layer(width, attention_heads) for _ in range(layers)]
        self.layers = nn.ModuleList(self._layers)  # so that torch knows their weights
        self.norm = nn.LayerNorm(width)
        self.out = Heads(width, n_heads, self.dropout)
        self.register_buffer("position", _positions(n_steps, width))
        self.position: Tensor
        earlier = torch.ones(n_steps - 1, n_steps - 1).tril()
        self.register_buffer("later", (1.0 - earlier) * -1e9)
        self.later: Tensor

    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        x = self.narrow(self.scaler(rows)) + self.position[:-1]
        kept: list[Tensor] = []
        for layer in self._layers:
            x, keys, values = layer.all_steps(x, self.later, self.dropout)
            kept += [keys, values]
        return tuple(kept)

    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        x = self.narrow(self.scaler(row)) + self.position[-1]
        for number, layer in enumerate(self._layers):
            x = layer(x, state[2 * number], state[2 * number + 1], self.dropout)
        return self.out(self.norm(x))


class _Layer(nn.Module):
    """Attention, then a small network on each step by itself, both added to what was there."""

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = NewestAttention(width, attention_heads)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def all_steps(self, x: Tensor, later: Tensor, dropout: Dropout) -> tuple[Tensor, Tensor, Tensor]:
        """The next layer's input (n, t, width), and what attention keeps of this one's."""
        own = self.attention
        normed = self.first_norm(x)
        keys, values = own.remember(normed)
        query = own.query(normed).unflatten(2, (own.n_heads, own.of_each)).transpose(1, 2)
        closeness = query @ keys / own.of_each**0.5 + later
        taken = (torch.softmax(closeness, dim=3) @ values).transpose(1, 2).flatten(2)
        x = x + dropout(own.out(taken))
        return x + dropout(self.inner(self.second_norm(x))), keys, values

    def forward(self, newest: Tensor, keys: Tensor, values: Tensor, dropout: Dropout) -> Tensor:
        """The next layer's newest step, (n, width)."""
        newest = newest + dropout(self.attention(self.first_norm(newest), keys, values))
        changed: Tensor = newest + dropout(self.inner(self.second_norm(newest)))
        return changed


def _positions(n_steps: int, width: int) -> Tensor:
    step = torch.arange(n_steps).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(step * rate), torch.cos(step * rate)], dim=2).flatten(1)
