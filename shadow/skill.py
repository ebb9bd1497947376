"""Did the probabilities say anything about what came, and did they beat the naive rules?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.columns import SeriesRows
from shadow.outcomes import Closes, outcomes
from shadow.statistics import (
    Quantile,
    ReliabilityBin,
    auc,
    auc_interval,
    brier,
    ic,
    quantiles,
    rank_ic,
    reliability_curve,
)
from shadow.statistics.ordering import rising

BRIER_OF_ONE_HALF = 0.25
PRIMARY_HORIZON = "5"
"""The horizon in bars, as in the records, that decisions stand on."""


class HorizonFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The probabilities of one horizon against their outcomes; NaN where `reason` says why not.

    `n` bars have a probability and an outcome, of which `n_stored` come from a store; for `n_waiting`
    the horizon has not passed, for `n_missing` nobody knows the close at its end. Beside the model
    stand the Brier score of a constant 0.5, the share of "up", and the AUC of the naive rule "minus the
    return over the past horizon" on the `n_reversal_rule` bars that have such a past.
    """

    n: int
    n_effective: float
    n_waiting: int
    n_missing: int
    n_stored: int
    auc: float
    auc_low: float
    auc_high: float
    p_value_no_skill: float
    ic: float
    ic_t: float
    rank_ic: float
    rank_ic_t: float
    brier: float
    brier_constant: float
    brier_reliability: float
    brier_resolution: float
    brier_uncertainty: float
    up_share: float
    reversal_rule_auc: float
    n_reversal_rule: int
    quantiles: list[Quantile]
    reliability_curve: list[ReliabilityBin]
    reason: str | None


class Pool(NamedTuple):
    """Rows of all series with a probability and a known outcome, by rising `p`; every array is (n,).

    `row` is where they stand in the columns; `n_waiting` and `n_missing` rows have no outcome yet, and
    none at all. `overlap_bars` is the longest label in steps of the shortest bar, which `bar_number`
    counts: with several timeframes that bounds every overlap.
    """

    row: NDArray[np.int64]
    p: NDArray[np.float64]
    forward_return: NDArray[np.float64]
    up: NDArray[np.bool_]
    past_return: NDArray[np.float64]
    bar_number: NDArray[np.int64]
    n_waiting: int
    n_missing: int
    n_stored: int
    overlap_bars: int


def pool_horizon(
    series: Sequence[SeriesRows], p: NDArray[np.float64], horizon_bars: int, now_ms: int
) -> Pool:
    """The rows of the window over one horizon. `p` is the whole column of that horizon."""
    step_ms = min(rows.length_ms for rows in series)
    parts = []
    n_waiting = n_missing = n_stored = 0
    for rows in series:
        recorded = Closes(rows.open_time_ms, rows.close)
        has_stored = rows.known.open_time_ms.size > recorded.open_time_ms.size
        outcome = outcomes(recorded, rows.known, rows.length_ms, horizon_bars, now_ms)
        past_close = rows.known.at(rows.open_time_ms - horizon_bars * rows.length_ms)
        own = p[rows.row]
        has_p = rows.in_window & np.isfinite(own)
        known = has_p & np.isfinite(outcome.forward_return)
        end_ms = rows.open_time_ms[known] + horizon_bars * rows.length_ms
        n_waiting += int(np.count_nonzero(has_p & outcome.waiting))
        n_missing += int(np.count_nonzero(has_p & outcome.missing))
        if has_stored:
            n_stored += int(np.count_nonzero(np.isnan(recorded.at(end_ms))))
        columns = (
            own,
            rows.row,
            outcome.forward_return,
            outcome.up,
            rows.close / past_close - 1.0,
            rows.open_time_ms // step_ms,
        )
        parts.append([column[known] for column in columns])
    overlap_bars = horizon_bars * max(rows.length_ms for rows in series) // step_ms
    whole_p, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
    by_p, own = rising(whole_p)
    row, forward_return, up, past_return, bar_number = (column[by_p] for column in others)
    return Pool(
        row=row,
        p=own,
        forward_return=forward_return,
        up=up,
        past_return=past_return,
        bar_number=bar_number,
        n_waiting=n_waiting,
        n_missing=n_missing,
        n_stored=n_stored,
        overlap_bars=overlap_bars,
    )


def measure_horizon(pool: Pool) -> HorizonFigures:
    """What the probabilities of one horizon were worth."""
    place = pool.overlap_bars, pool.bar_number
    up = pool.up.astype(np.float64)  # once for all that follows
    area = auc_interval(pool.p, up, *place)
    linear = ic(pool.p, pool.forward_return, *place)
    rank = rank_ic(pool.p, pool.forward_return, *place)
    squared = brier(pool.p, up)
    has_past = np.isfinite(pool.past_return)
    return HorizonFigures(
        n=pool.p.size,
        n_effective=area.n_effective,
        n_waiting=pool.n_waiting,
        n_missing=pool.n_missing,
        n_stored=pool.n_stored,
        auc=area.estimate,
        auc_low=area.low,
        auc_high=area.high,
        p_value_no_skill=area.p_value_no_skill,
        ic=linear.estimate,
        ic_t=linear.t,
        rank_ic=rank.estimate,
        rank_ic_t=rank.t,
        brier=squared.score,
        brier_constant=BRIER_OF_ONE_HALF,
        brier_reliability=squared.reliability,
        brier_resolution=squared.resolution,
        brier_uncertainty=squared.uncertainty,
        up_share=float(up.mean()) if up.size else float("nan"),
        reversal_rule_auc=auc(-pool.past_return[has_past], up[has_past]),
        n_reversal_rule=int(np.count_nonzero(has_past)),
        quantiles=list(quantiles(pool.p, pool.forward_return, up, *place)),
        reliability_curve=list(reliability_curve(pool.p, up, *place)),
        reason=area.reason,
    )
