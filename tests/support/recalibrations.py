"""Forecasters over years of bars, read again day by day by what was known then."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gates.recalibration import EVERY_BARS
from shadow.realised import Realised
from shadow.recalibration import AS_IT_SAYS, Coefficients, recalibrated
from shadow.recalibration_fit import N_BARS, fit
from tests.support.forecasters import World, persistent

_Floats = NDArray[np.float64]


class Walk(NamedTuple):
    """`rows` of one forecaster, `recalibrated` NaN where nothing was known yet, and each update."""

    rows: Realised
    updates: list[Coefficients]


def sharpened(truth: _Floats, times: float) -> _Floats:
    """The truth told with `times` its log odds: above 1 by one who is too sure of himself."""
    return 1.0 / (1.0 + ((1.0 - truth) / truth) ** times)


def noise(world: World, spread: float = 0.05) -> _Floats:
    """What someone says who knows nothing of this world."""
    rng = np.random.default_rng(1_000 + world.horizon)
    return np.clip(0.5 + spread * persistent(rng, *world.truth.shape), 0.05, 0.95)


def walked(p: _Floats, up: _Floats, horizon: int) -> Walk:
    """One forecaster, `p` (bars,), bar after bar; an update sees the outcomes that are known then."""
    bars = np.arange(p.size)
    read = np.full(p.size, np.nan)
    updates: list[Coefficients] = []
    last = AS_IT_SAYS
    for now in range(EVERY_BARS, p.size, EVERY_BARS):
        # The outcome of bar b is known at the close of bar b + horizon, the newest being now - 1.
        known = slice(max(0, now - horizon - N_BARS), max(0, now - horizon))
        learnt = fit(p[known], up[known], bars[known], horizon, last).coefficients
        last = learnt or AS_IT_SAYS
        if learnt is not None:
            updates.append(learnt)
            ahead = slice(now, now + EVERY_BARS)
            read[ahead] = [recalibrated(one, learnt) for one in p[ahead].tolist()]
    return Walk(Realised(bars, bars, p, read, up, horizon), updates)
