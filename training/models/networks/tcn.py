"""Which network looks back by dilated convolutions, and then chooses: TCN with attention.

Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
Sequence Modeling", 2018: causal convolutions whose reach doubles from block to block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.networks.attention import NewestAttention
from training.models.networks.base import Dropout, Heads, WindowNetwork

_KERNEL = 3


class TCN(WindowNetwork):
    """Residual blocks of causal convolutions, then attention of the newest step over all of them."""

    def __init__(
        self,
        n_features: int,
        n_steps: int,
        n_heads: int,
        generator: torch.Generator,
        *,
        channels: int = 48,
        blocks: int = 4,
        attention_heads: int = 4,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(n_features, n_steps, n_heads)
        self.dropout = Dropout(dropout, generator)
        self.narrow = nn.Linear(n_features, channels)
        self._blocks = [_Block(channels, 2**number) for number in range(blocks)]
        self.blocks = nn.ModuleList(self._blocks)  # so that torch knows their weights
        self.norm = nn.LayerNorm(channels)
        self.attention = NewestAttention(channels, attention_heads)
        self.out = Heads(channels, n_heads, self.dropout)

    def history(self, rows: Tensor) -> tuple[Tensor, ...]:
        x = self.narrow(self.scaler(rows)).transpose(1, 2)
        tails = []
        for block in self._blocks:
            padded = nn.functional.pad(x, (block.reach, 0))
            tails.append(padded[:, :, -block.reach :])
            x = block(padded, self.dropout)
        return (*tails, *self.attention.remember(self.norm(x.transpose(1, 2))))

    def heads(self, row: Tensor, *state: Tensor) -> Tensor:
        *tails, keys, values = state
        x = self.narrow(self.scaler(row)).unsqueeze(2)
        for block, tail in zip(self._blocks, tails, strict=True):
            x = block(torch.cat([tail, x], dim=2), self.dropout)
        newest = self.norm(x[:, :, 0])
        return self.out(newest + self.attention(newest, keys, values))


class _Block(nn.Module):
    """One causal convolution: every output sees itself, and the inputs 1 and 2 dilations before."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.reach = (_KERNEL - 1) * dilation
        self.convolution = nn.Conv1d(channels, channels, _KERNEL, dilation=dilation)

    def forward(self, padded: Tensor, dropout: Dropout) -> Tensor:
        """(n, channels, t) from (n, channels, reach + t)."""
        changed: Tensor = dropout(torch.relu(self.convolution(padded)))
        return padded[:, :, self.reach :] + changed
