"""What networks make small, held against the formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.models.losses import DirectionLoss

LOG_ODDS = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.7, 0.4]])
LABELS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
EVEN = (0.5, 0.5)


def entropy(log_odds: Tensor, goal: Tensor) -> Tensor:
    p = torch.sigmoid(log_odds)
    return -(goal * p.log() + (1 - goal) * (1 - p).log())


def test_cross_entropy_is_weighted_by_horizon() -> None:
    by_head = entropy(LOG_ODDS, LABELS).mean(dim=0)
    loss = DirectionLoss((0.7, 0.3))(LOG_ODDS, LABELS)
    assert loss == pytest.approx(float(0.7 * by_head[0] + 0.3 * by_head[1]), abs=1e-6)


def test_a_label_that_is_not_known_does_not_count() -> None:
    unknown = LABELS.clone()
    unknown[1, 0] = float("nan")
    expected = (
        0.5 * entropy(LOG_ODDS, LABELS)[[0, 2], 0].mean() + 0.5 * entropy(LOG_ODDS, LABELS)[:, 1].mean()
    )
    assert DirectionLoss(EVEN)(LOG_ODDS, unknown) == pytest.approx(float(expected), abs=1e-6)


def test_no_label_at_all_costs_nothing_and_gives_a_gradient_of_nothing() -> None:
    log_odds = LOG_ODDS.clone().requires_grad_()
    loss = DirectionLoss(EVEN)(log_odds, torch.full_like(LABELS, float("nan")))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(log_odds.grad, torch.zeros_like(LOG_ODDS))


def test_focal_loss_counts_less_what_is_known_already() -> None:
    missed = (torch.sigmoid(LOG_ODDS) - LABELS).abs()
    expected = (entropy(LOG_ODDS, LABELS) * missed**2).mean()
    assert DirectionLoss(EVEN, focal=2.0)(LOG_ODDS, LABELS) == pytest.approx(float(expected), abs=1e-6)


def test_a_teacher_moves_the_target() -> None:
    taught = torch.tensor([[0.6, 0.4], [0.5, 0.7], [float("nan"), 0.9]])
    goal = 0.25 * LABELS + 0.75 * torch.where(torch.isnan(taught), LABELS, taught)
    expected = entropy(LOG_ODDS, goal).mean()
    said = DirectionLoss(EVEN, distilled=0.75)(LOG_ODDS, torch.cat([LABELS, taught], dim=1))
    assert said == pytest.approx(float(expected), abs=1e-6)


def test_heads_that_say_the_same_cost_more_than_heads_that_differ() -> None:
    loss, plain = DirectionLoss(EVEN, diversity=0.1), DirectionLoss(EVEN)
    same = LOG_ODDS[:, :1].repeat(1, 2)
    assert float(loss(same, LABELS) - plain(same, LABELS)) == pytest.approx(0.1, abs=1e-5)
    apart = torch.tensor([[1.0, 0.5], [-1.0, 0.5], [0.0, -1.0]])
    assert float(loss(apart, LABELS) - plain(apart, LABELS)) == pytest.approx(0.0, abs=1e-5)
