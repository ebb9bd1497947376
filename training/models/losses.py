"""What does a network with a head for each horizon try to make small?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class DirectionLoss:
    """Cross-entropy of the heads, by horizon, with what is added to it.

    `horizon_weights` (heads,) add up to one; with `focal` > 0 a row counts less the surer the network
    already is of it (Lin et al., "Focal Loss for Dense Object Detection", 2017); `diversity` > 0 costs
    heads that say the same: the mean squared correlation of their log odds over a batch; `distilled` in
    [0, 1) is the share of the target that comes from the teacher's probabilities instead of the label
    (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015).
    """

    horizon_weights: tuple[float, ...]
    focal: float = 0.0
    diversity: float = 0.0
    distilled: float = 0.0

    def __call__(self, log_odds: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch; `log_odds` (n, heads), `target` (n, heads) of labels in [0, 1], or
        (n, 2 * heads) with the teacher's probabilities behind them. A label of NaN does not count."""
        labels, teacher = target[:, : log_odds.shape[1]], target[:, log_odds.shape[1] :]
        known = ~torch.isnan(labels)
        goal = torch.where(known, labels, torch.full_like(labels, 0.5))
        if self.distilled:
            taught = torch.where(torch.isnan(teacher), goal, teacher)
            goal = (1.0 - self.distilled) * goal + self.distilled * taught
        cost = binary_cross_entropy_with_logits(log_odds, goal, reduction="none")
        if self.focal:
            # Not of labels alone: a distilled target lies between them.
            missed = (torch.sigmoid(log_odds) - goal).abs()
            cost = cost * missed.pow(self.focal)
        by_head = (cost * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
        weights = torch.tensor(self.horizon_weights, dtype=by_head.dtype, device=by_head.device)
        loss = (by_head * weights).sum()
        if self.diversity and log_odds.shape[1] > 1:
            loss = loss + self.diversity * _likeness(log_odds)
        return loss


def _likeness(log_odds: Tensor) -> Tensor:
    """The mean squared correlation between two heads."""
    away = log_odds - log_odds.mean(dim=0)
    unit = away / away.norm(dim=0).clamp(min=1e-6)
    correlation = unit.T @ unit
    n_heads = log_odds.shape[1]
    of_others = correlation.square().sum() - correlation.diagonal().square().sum()
    likeness: Tensor = of_others / (n_heads * (n_heads - 1))
    return likeness
