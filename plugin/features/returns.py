"""How far has the close come, at twelve scales, in units of its own volatility?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, ratio

_SPANS = (1, 2, 3, 4, 5, 6, 8, 12, 24, 48, 72, 168)
NAMES = tuple(f"return_{span}" for span in _SPANS)


@compiled
def write_returns(log_close: Series, unit: float, out: NDArray[np.float32]) -> None:
    """Log return over k bars, divided by `unit` (the volatility of one bar) times sqrt(k).

    The short spans look for reversal (Jegadeesh 1990, Lehmann 1990), the long ones for momentum scaled
    by volatility (Moskowitz, Ooi and Pedersen 2012).
    """
    for k, span in enumerate(_SPANS):
        out[k] = ratio(log_close[-1] - log_close[-1 - span], unit * math.sqrt(span), 0.0)
