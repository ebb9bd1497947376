"""How is a window made a little different each time it is learnt from?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Noise in standard deviations of each feature over the batch, and a warp of time.

    `noise` is the standard deviation of Gaussian noise; a warped window runs up to `warp` faster or
    slower towards its end, read between the rows: its newest row stays where it is.
    """

    noise: float = 0.0
    warp: float = 0.0

    def __call__(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Other windows (n, steps, features) of the same shape; drawn by `generator`."""
        if self.warp:
            windows = _warped(windows, self.warp, generator)
        if self.noise:
            drawn = torch.empty_like(windows).normal_(generator=generator)
            windows = windows + self.noise * windows.std(dim=(0, 1)) * drawn
        return windows


def _warped(windows: Tensor, warp: float, generator: torch.Generator) -> Tensor:
    n, n_steps, _ = windows.shape
    speed = 1.0 + warp * (2.0 * torch.rand(n, 1, generator=generator, device=windows.device) - 1.0)
    back = torch.arange(n_steps - 1, -1, -1, device=windows.device)
    at = (n_steps - 1 - back * speed).clamp(min=0.0)  # slower than real time: read up to the newest
    before = at.floor().long().clamp(max=n_steps - 2)
    share = (at - before).unsqueeze(2)
    row = torch.arange(n, device=windows.device).unsqueeze(1)
    return windows[row, before] * (1.0 - share) + windows[row, before + 1] * share
