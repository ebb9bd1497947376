"""What does the newest step take from those before it? Scaled dot-product attention of one query.

Vaswani et al., "Attention Is All You Need", 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NewestAttention(nn.Module):
    """Attention of the newest step over itself and the steps before it, in `n_heads` heads.

    Keys and values of the earlier steps do not know the newest one, so they can be prepared.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads, self.of_each = n_heads, width // n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def remember(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (n, heads, width / heads, t) and values (n, heads, t, width / heads) of `steps`
        (n, t, width), laid out as the products of the newest step want them."""
        keys, values = (
            made(steps).unflatten(2, (self.n_heads, self.of_each)) for made in (self.key, self.value)
        )
        return keys.permute(0, 2, 3, 1), values.transpose(1, 2)

    def forward(self, newest: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What `newest` (n, width) takes from itself and from the steps before it: (n, width)."""
        # Not unflatten: exported, it reads sizes from its input, in four nodes more.
        query, own_key, own_value = (
            made(newest).reshape(-1, self.n_heads, 1, self.of_each)
            for made in (self.query, self.key, self.value)
        )
        query = query / self.of_each**0.5
        own = (query * own_key).sum(dim=3, keepdim=True)
        weights = torch.softmax(torch.cat([query @ keys, own], dim=3), dim=3)
        taken = weights[..., :-1] @ values + weights[..., -1:] * own_value
        out: Tensor = self.out(taken.flatten(1))
        return out
