"""How good were forecasts on the test block, beside "no change", and could it be luck?"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.statistics import mean_interval, rmse_skill
from training.price.rows import PriceRows


class PriceFigures(msgspec.Struct, frozen=True):
    """One model on the test block of one symbol.

    `mae` and `rmse` are in the price's own unit; `r2_price` and `r2_return` are 1 less the squared
    error as a share of that of the block's own mean. `rmse_ratio` is to the RMSE of "no change", below
    1 where the model is better; `p_value_no_better` is one-sided. `hit_rate` is how often the direction
    was right among the `n_directions` rows that have one and were told one. Intervals are 95 %; what
    can not be judged is NaN.
    """

    n: int
    mae: float
    rmse: float
    r2_price: float
    r2_return: float
    rmse_ratio: float
    rmse_ratio_low: float
    rmse_ratio_high: float
    p_value_no_better: float
    n_directions: int
    hit_rate: float
    hit_rate_low: float
    hit_rate_high: float


def judge(rows: PriceRows, said: NDArray[np.float64], length_ms: int) -> PriceFigures:
    """Judge the log returns `said` (n of `rows.test`) of bars that are `length_ms` long."""
    test = rows.test
    close, came = rows.close[test], rows.forward_return[test]
    bars = rows.known_from_ms[test] // length_ms
    later = close * np.exp(came)
    errors = later - close * np.exp(said)
    skill = rmse_skill(errors, later - close, rows.horizon, bars)
    moved = (said != 0.0) & (came != 0.0)
    right = (np.sign(said[moved]) == np.sign(came[moved])).astype(np.float64)
    hits = mean_interval(right, rows.horizon, bars[moved])
    return PriceFigures(
        n=int(test.size),
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        r2_price=_r2(errors, later),
        r2_return=_r2(came - said, came),
        rmse_ratio=1.0 - skill.estimate,
        rmse_ratio_low=1.0 - skill.high,
        rmse_ratio_high=1.0 - skill.low,
        p_value_no_better=skill.p_value_no_skill,
        n_directions=hits.n,
        hit_rate=hits.estimate,
        hit_rate_low=hits.low if math.isnan(hits.low) else max(0.0, hits.low),
        hit_rate_high=hits.high if math.isnan(hits.high) else min(1.0, hits.high),
    )


def _r2(errors: NDArray[np.float64], came: NDArray[np.float64]) -> float:
    return 1.0 - float(np.mean(errors**2) / came.var())
