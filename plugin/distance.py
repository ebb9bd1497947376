"""How far do a recorded value and its recomputation lie apart?"""

from __future__ import annotations

import math


def distance(recorded: float | str | None, again: float | str | None) -> float:
    """How far two values lie apart: infinitely where one is no number and they are not the same."""
    if recorded == again:
        return 0.0
    if isinstance(recorded, int | float) and isinstance(again, int | float):
        apart = abs(recorded - again)
        return math.inf if math.isnan(apart) else apart
    # NaN is written as None.
    is_nan = isinstance(again, float) and math.isnan(again)
    return 0.0 if recorded is None and is_nan else math.inf
