"""Windows are changed a little, by a seed, and never their newest row by time."""

from __future__ import annotations

import pytest
import torch

from training.models.augment import Augmentation

WINDOWS = torch.arange(48.0).reshape(1, 48, 1).repeat(200, 1, 2)


def drawn(augmentation: Augmentation, seed: int = 1) -> torch.Tensor:
    return augmentation(WINDOWS, torch.Generator().manual_seed(seed))


def test_noise_is_measured_in_spreads_of_the_feature() -> None:
    moved = drawn(Augmentation(noise=0.1)) - WINDOWS
    assert float(moved.std()) == pytest.approx(0.1 * float(WINDOWS.std(dim=(0, 1))[0]), rel=0.02)


def test_a_warp_keeps_the_newest_row_and_the_order_of_time() -> None:
    warped = drawn(Augmentation(warp=0.2))
    assert torch.equal(warped[:, -1], WINDOWS[:, -1])
    assert bool((warped.diff(dim=1) >= 0).all())
    speeds = (warped[:, -1, 0] - warped[:, -11, 0]) / 10
    assert 0.79 < float(speeds.min()) < 0.85
    assert 1.15 < float(speeds.max()) < 1.21


def test_the_same_seed_draws_the_same() -> None:
    both = Augmentation(noise=0.1, warp=0.1)
    assert torch.equal(drawn(both), drawn(both))
    assert not torch.equal(drawn(both), drawn(both, seed=2))


def test_nothing_asked_for_changes_nothing() -> None:
    assert torch.equal(drawn(Augmentation()), WINDOWS)
