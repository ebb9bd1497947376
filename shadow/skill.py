"""Did the probabilities say anything about what came, and did they beat the naive rules?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.columns import SeriesRows
from shadow.outcomes import close_at, outcomes
from shadow.statistics import auc, auc_interval, brier, rank_ic

BRIER_OF_ONE_HALF = 0.25
PRIMARY_HORIZON = "5"
"""The horizon in bars, as in the records, that decisions stand on."""


class HorizonFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The probabilities of one horizon against their outcomes; NaN where `reason` says why not.

    `n` bars have a probability and an outcome; for `n_waiting` the horizon has not passed, for
    `n_missing` no record stands at its end. Beside the model stand the Brier score of a constant 0.5,
    the share of "up", and the AUC of the naive rule "minus the return over the past horizon" on the
    `n_reversal_rule` bars that have such a past.
    """

    n: int
    n_effective: float
    n_waiting: int
    n_missing: int
    auc: float
    auc_low: float
    auc_high: float
    p_value_no_skill: float
    rank_ic: float
    rank_ic_t: float
    brier: float
    brier_constant: float
    up_share: float
    reversal_rule_auc: float
    n_reversal_rule: int
    reason: str | None


class _Pool(NamedTuple):
    """Rows of all series with a probability and a known outcome, each (n,); how many have none."""

    p: NDArray[np.float64]
    forward_return: NDArray[np.float64]
    up: NDArray[np.bool_]
    past_return: NDArray[np.float64]
    bar_number: NDArray[np.int64]
    n_waiting: int
    n_missing: int


def measure_horizon(
    series: Sequence[SeriesRows], p: NDArray[np.float64], horizon_bars: int, now_ms: int
) -> HorizonFigures:
    """Pool the series of the window over one horizon. `p` is the whole column of that horizon."""
    step_ms = min(rows.length_ms for rows in series)
    pool = _pool(series, p, horizon_bars, now_ms, step_ms)
    # With several timeframes, the longest label in steps of the shortest bar bounds every overlap.
    overlap_bars = horizon_bars * max(rows.length_ms for rows in series) // step_ms
    area = auc_interval(pool.p, pool.up, overlap_bars, pool.bar_number)
    rank = rank_ic(pool.p, pool.forward_return, overlap_bars, pool.bar_number)
    has_past = np.isfinite(pool.past_return)
    return HorizonFigures(
        n=pool.p.size,
        n_effective=area.n_effective,
        n_waiting=pool.n_waiting,
        n_missing=pool.n_missing,
        auc=area.estimate,
        auc_low=area.low,
        auc_high=area.high,
        p_value_no_skill=area.p_value_no_skill,
        rank_ic=rank.estimate,
        rank_ic_t=rank.t,
        brier=brier(pool.p, pool.up).score,
        brier_constant=BRIER_OF_ONE_HALF,
        up_share=float(pool.up.mean()) if pool.up.size else float("nan"),
        reversal_rule_auc=auc(-pool.past_return[has_past], pool.up[has_past]),
        n_reversal_rule=int(np.count_nonzero(has_past)),
        reason=area.reason,
    )


def _pool(
    series: Sequence[SeriesRows],
    p: NDArray[np.float64],
    horizon_bars: int,
    now_ms: int,
    step_ms: int,
) -> _Pool:
    parts = []
    n_waiting = n_missing = 0
    for rows in series:
        outcome = outcomes(rows.open_time_ms, rows.close, rows.length_ms, horizon_bars, now_ms)
        past_close = close_at(rows.open_time_ms, rows.close, -horizon_bars * rows.length_ms)
        own = p[rows.row]
        has_p = rows.in_window & np.isfinite(own)
        n_waiting += int(np.count_nonzero(has_p & outcome.waiting))
        n_missing += int(np.count_nonzero(has_p & outcome.missing))
        columns = (
            own,
            outcome.forward_return,
            outcome.up,
            rows.close / past_close - 1.0,
            rows.open_time_ms // step_ms,
        )
        known = has_p & np.isfinite(outcome.forward_return)
        parts.append([column[known] for column in columns])
    p, forward_return, up, past_return, bar_number = map(np.concatenate, zip(*parts, strict=True))
    return _Pool(p, forward_return, up, past_return, bar_number, n_waiting, n_missing)
