"""How do the series of a log stand: what was last said of each, and how did its probability run?"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from shadow.columns import CONTEXT, SeriesRows
from shadow.files import utc_text
from shadow.record import BarRecord
from shadow.texts import plain
from shadow.window import Window

_N_TRAIL = 48


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest bar of one series. `trail` has p of its newest bars, oldest first, None where none.

    `mode`, `action` and `reason` (why stacking was not active) are None where the bar lies before the
    window. `age_bars` says how many bars ago it closed.
    """

    symbol: str
    timeframe: str
    closed: str
    age_bars: float
    mode: str | None
    action: str | None
    reason: str | None
    p: float | None
    trail: list[float | None]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, as the bot was told, and the signal that the bot told."""

    closed: str
    symbol: str
    timeframe: str
    mode: str
    action: str
    p: dict[str, float | None]
    regime: str
    size_multiplier: float
    stop_atr: float
    reason: str
    host_signal: str | None
    latency_us: float


def newest_of_all(window: Window) -> list[Newest]:
    """The newest bar of each series; ages are those at the end of the window."""
    meta_p = np.array(window.columns.meta_p)
    return [_newest_of(window, rows, meta_p[rows.row[-_N_TRAIL:]].tolist()) for rows in window.rows]


def _newest_of(window: Window, rows: SeriesRows, p: list[float]) -> Newest:
    columns = window.columns
    code = columns.kind[rows.row[-1]]
    kind = None if code == CONTEXT else columns.kinds[code]
    closed_ms = int(rows.open_time_ms[-1]) + rows.length_ms
    trail = [None if math.isnan(one) else round(one, 4) for one in p]
    return Newest(
        symbol=plain(rows.symbol),
        timeframe=plain(rows.timeframe),
        closed=utc_text(closed_ms),
        age_bars=(window.now_ms - closed_ms) / rows.length_ms,
        mode=None if kind is None else kind.mode,
        action=None if kind is None else kind.action,
        reason=None if kind is None else plain(kind.reason),
        p=trail[-1],
        trail=trail,
    )


def told_by(record: BarRecord, length_ms: int) -> Told:
    """The decision of a record whose bar has this length."""
    decision = record.decision
    return Told(
        closed=utc_text(record.open_time_ms + length_ms),
        symbol=plain(record.symbol),
        timeframe=plain(record.timeframe),
        mode=record.mode,
        action=decision.action,
        p={plain(horizon): p for horizon, p in record.probabilities.items()},
        regime=plain(decision.regime),
        size_multiplier=decision.size_multiplier,
        stop_atr=decision.stop_atr,
        reason=plain(decision.reason),
        host_signal=None if record.host_signal is None else plain(record.host_signal),
        latency_us=record.latency_us,
    )
