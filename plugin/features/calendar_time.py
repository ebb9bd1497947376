"""What time is it on the UTC clock and calendar, and how complete is the window?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.features.primitives import Series, mean

NAMES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "absent_share")

_DAY_MS = 86_400_000
_TURN = 2.0 * math.pi


@compiled
def write_calendar(open_time_ms: int, absent: Series, out: NDArray[np.float32]) -> None:
    """Time of day and day of the week (Monday 0) at which the newest bar opened, on a circle;
    the share of bars that are absent."""
    of_day = _TURN * (open_time_ms % _DAY_MS) / _DAY_MS
    # 1970-01-01 was a Thursday.
    of_week = _TURN * ((open_time_ms // _DAY_MS + 3) % 7) / 7.0
    out[0] = math.sin(of_day)
    out[1] = math.cos(of_day)
    out[2] = math.sin(of_week)
    out[3] = math.cos(of_week)
    out[4] = mean(absent)
