"""Pairs of forecasters on a latent path of returns, of which one is worse by exactly so much."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter
from scipy.stats import norm

_Floats = NDArray[np.float64]
_PERSISTENCE = 0.9
_TRUTH_SD = 0.03


class World(NamedTuple):
    """`truth` (bars, runs) is the chance of "up" over `horizon` bars as it is known at the bar."""

    horizon: int
    truth: _Floats
    up: _Floats


def make_world(horizon: int, n_bars: int, n_runs: int) -> World:
    """Hourly returns whose expectation persists, so that the truth does; labels overlap."""
    rng = np.random.default_rng(horizon)
    state = persistent(rng, n_bars + horizon, n_runs)
    known = (1 - _PERSISTENCE**horizon) / (1 - _PERSISTENCE)  # of the state, within the horizon
    ahead = np.arange(1, horizon)
    unknown = (1 - _PERSISTENCE**2) * np.sum(
        ((1 - _PERSISTENCE ** (horizon - ahead)) / (1 - _PERSISTENCE)) ** 2
    )
    slope = _TRUTH_SD * np.sqrt(2 * np.pi)  # the truth's spread in units of the outcome's
    drift = slope * np.sqrt(horizon / (known**2 - slope**2 * unknown))
    path = np.cumsum(drift * state + rng.standard_normal(state.shape), axis=0)
    path = np.vstack([np.zeros((1, n_runs)), path])
    up = (path[horizon : horizon + n_bars] > path[:n_bars]).astype(float)
    spread = np.sqrt(horizon + drift**2 * unknown)
    return World(horizon, norm.cdf(drift * known * state[:n_bars] / spread), up)


def persistent(rng: np.random.Generator, n_bars: int, n_runs: int) -> _Floats:
    """AR(1) of variance 1, settled from its first bar."""
    shocks = rng.standard_normal((n_bars + 100, n_runs)) * np.sqrt(1 - _PERSISTENCE**2)
    return np.asarray(lfilter([1.0], [1.0, -_PERSISTENCE], shocks, axis=0)[100:])


def forecasts(
    rng: np.random.Generator, truth: _Floats, worse_by: ArrayLike, apart: ArrayLike = 0.03
) -> tuple[_Floats, _Floats]:
    """Two columns of probabilities that lie `apart`; the first one's expected Brier score is higher by
    `worse_by`. Both are scalars or (bars, 1). The sign of their distance persists.

    With errors e and f to the truth, the scores differ by e^2 - f^2, and e - f is the distance.
    """
    distance = np.sign(persistent(rng, *truth.shape)) * apart
    total = worse_by / distance
    return truth + (total + distance) / 2, truth + (total - distance) / 2


def brier_difference(first: _Floats, second: _Floats, up: _Floats) -> _Floats:
    """The first one's Brier score less the second one's, bar by bar."""
    return (first - up) ** 2 - (second - up) ** 2
