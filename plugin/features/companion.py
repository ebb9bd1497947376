"""How does another asset move, alone and against the own one?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, codeviation, correlation, deviation, mean, ratio

NAMES = (
    "return_1",
    "return_5",
    "return_24",
    "residual_5",
    "residual_24",
    "correlation_72",
    "price_ratio_z_168",
)
N_COMPANIONS = 3
# Closes that the kernel reads: 168 returns and the close before the first of them.
N_CLOSES = 169


@compiled
def _returns(log_close: Series) -> Series:
    out = np.empty(log_close.size - 1)
    for i in range(out.size):
        out[i] = log_close[i + 1] - log_close[i]
    return out


@compiled
def write_companion(own: Series, other: Series, out: NDArray[np.float32]) -> None:
    """Seven features of `other` beside `own`: the newest 169 log closes of both, bar by bar.

    Beta is the slope of the own one-bar returns on those of the other over 168 bars; a residual is the
    own return less beta times the other's (Blitz, Huij, Lansdorp and Verbeek 2013). Lead and lag: Lo
    and MacKinlay 1990. Price ratio: Gatev, Goetzmann and Rouwenhorst 2006.
    """
    own_returns, other_returns = _returns(own), _returns(other)
    own_unit, other_unit = deviation(own_returns[-72:]), deviation(other_returns[-72:])
    for k, span in enumerate((1, 5, 24)):
        out[k] = ratio(other[-1] - other[-1 - span], other_unit * math.sqrt(span), 0.0)
    beta = ratio(
        codeviation(own_returns, other_returns), codeviation(other_returns, other_returns), 0.0
    )
    for k, span in enumerate((5, 24)):
        residual = (own[-1] - own[-1 - span]) - beta * (other[-1] - other[-1 - span])
        out[3 + k] = ratio(residual, own_unit * math.sqrt(span), 0.0)
    out[5] = correlation(own_returns[-72:], other_returns[-72:])
    price_ratio = own[1:] - other[1:]
    out[6] = ratio(price_ratio[-1] - mean(price_ratio), deviation(price_ratio), 0.0)
