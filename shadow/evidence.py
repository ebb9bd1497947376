"""What do the records of a window amount to, in figures?

No verdicts here: `shadow.checklist` holds the limits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.columns import ABSENT, CONTEXT, STATUSES, Columns, Kind
from shadow.coverage import Coverage
from shadow.files import utc_text
from shadow.reader import Damage
from shadow.skill import HorizonFigures, Pool, measure_horizon, pool_horizon
from shadow.window import Window

_HOUR_MS = 3_600_000
_MIDDLE = 0.3, 0.7
SIMULATED_EXCHANGE = "simulated"
NO_BUNDLE = "none"


class MemberFigures(msgspec.Struct, frozen=True):
    """One member's answers: `normal_rate` is the share of them whose status is `ok`."""

    n: int
    normal_rate: float
    statuses: dict[str, int]
    latency_us_p50: float
    latency_us_p90: float
    latency_us_p99: float


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one window; shares are 0 to 1, NaN where there is nothing to divide by.

    `holes` counts the expected bars without a probability by reason, `inactive_reasons` the recorded
    ones whose stacking was not active. `errors` counts bars by the text of their error.
    """

    since: str
    now: str
    days: float
    simulated: bool
    bars_expected: int
    bars_recorded: int
    bars_with_probability: int
    coverage: float
    holes: dict[str, int]
    stacking_activation: float
    inactive_reasons: dict[str, int]
    members: dict[str, MemberFigures]
    errors: dict[str, int]
    hours_in_shadow: float
    share_within_middle: float = msgspec.field(name="share_within_0.3_0.7")
    modes: dict[str, int]
    decisions: dict[str, int]
    bundles: dict[str, int]
    symbols: list[Coverage]
    outcomes: dict[str, HorizonFigures]
    damage: Damage
    n_repairs: int
    n_revisions: int

    @property
    def n_errors(self) -> int:
        return sum(self.errors.values())


def weigh(window: Window) -> Evidence:
    """Count what the window holds, and look up what came of it."""
    return weigh_pools(window, pools_of(window))


def pools_of(window: Window) -> Iterator[tuple[str, Pool]]:
    """What came of the probabilities, a horizon at a time: of a million rows each takes 50 MB."""
    for name, column in sorted(window.columns.probabilities.items(), key=lambda item: int(item[0])):
        yield name, pool_horizon(window.rows, np.array(column), int(name), window.now_ms)


def weigh_pools(window: Window, pools: Iterable[tuple[str, Pool]]) -> Evidence:
    """As `weigh`, for who wants to see `pools`, which are those of the window, pass by."""
    kinds = kinds_of(window.columns)
    inactive = _counted(kinds, "reason", lambda kind: kind.stacking != "active")
    coverage = window.coverage
    n_expected = sum(series.bars_expected for series in coverage)
    n_recorded = sum(series.bars_recorded for series in coverage)
    n_with = sum(series.bars_with_probability for series in coverage)
    return Evidence(
        since=utc_text(window.since_ms),
        now=utc_text(window.now_ms),
        days=window.days,
        simulated=any(kind.exchange == SIMULATED_EXCHANGE for kind in kinds),
        bars_expected=n_expected,
        bars_recorded=n_recorded,
        bars_with_probability=n_with,
        coverage=_share(n_with, n_expected),
        holes=_summed(series.holes for series in coverage),
        stacking_activation=_share(n_recorded - sum(inactive.values()), n_recorded),
        inactive_reasons=inactive,
        members=_members(window.columns),
        errors=dict(window.columns.errors.most_common()),
        hours_in_shadow=_hours_in_shadow(window),
        share_within_middle=_share_within_middle(window.columns),
        modes=_counted(kinds, "mode"),
        decisions=_counted(kinds, "action"),
        bundles=_counted(kinds, "bundle"),
        symbols=coverage,
        outcomes={name: measure_horizon(pool) for name, pool in pools},
        damage=window.damage,
        n_repairs=window.n_repairs,
        n_revisions=window.n_revisions,
    )


def kinds_of(columns: Columns) -> dict[Kind, int]:
    """How many bars of the window each combination of texts has."""
    kind = np.array(columns.kind)
    counts = np.bincount(kind[kind >= 0], minlength=len(columns.kinds))
    return dict(zip(columns.kinds, counts.tolist(), strict=True))


def _counted(
    kinds: dict[Kind, int],
    field: Literal["mode", "reason", "action", "bundle"],
    where: Callable[[Kind], bool] = lambda _: True,
) -> dict[str, int]:
    """Bars by one text, the most frequent first."""
    counts: Counter[str] = Counter()
    for kind, n in kinds.items():
        if where(kind):
            counts[getattr(kind, field) or NO_BUNDLE] += n
    return dict(counts.most_common())


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(total.most_common())


def _members(columns: Columns) -> dict[str, MemberFigures]:
    """Those that answered in the window, by name."""
    in_window = np.array(columns.kind) != CONTEXT
    figures = {}
    for name, member in sorted(columns.members.items()):
        status = np.array(member.status)
        answered = in_window & (status != ABSENT)
        if answered.any():
            figures[name] = _figures(status[answered], np.array(member.us)[answered])
    return figures


def _figures(status: NDArray[np.int8], latency_us: NDArray[np.float32]) -> MemberFigures:
    """`status` (n,) and `latency_us` (n,) of one member's answers."""
    counts = np.bincount(status, minlength=len(STATUSES)).tolist()
    by_status = Counter({name: n for name, n in zip(STATUSES, counts, strict=True) if n})
    percentiles = np.percentile(latency_us, (50, 90, 99)).tolist()
    normal_rate = _share(by_status["ok"], status.size)
    return MemberFigures(status.size, normal_rate, dict(by_status.most_common()), *percentiles)


def _hours_in_shadow(window: Window) -> float:
    """Hours of market time that were answered beside the bot, in shadow or live; not per symbol."""
    kinds, kind = window.columns.kinds, np.array(window.columns.kind)
    answered = np.array([*(one.mode in {"shadow", "live"} for one in kinds), False])[kind]
    by_length: dict[int, list[NDArray[np.int64]]] = {}
    for rows in window.rows:
        by_length.setdefault(rows.length_ms, []).append(rows.open_time_ms[answered[rows.row]])
    return max(
        (
            np.unique(np.concatenate(times)).size * length_ms / _HOUR_MS
            for length_ms, times in by_length.items()
        ),
        default=0.0,
    )


def _share_within_middle(columns: Columns) -> float:
    p = np.array(columns.meta_p)
    p = p[np.isfinite(p) & (np.array(columns.kind) != CONTEXT)]
    low, high = _MIDDLE
    return _share(int(np.count_nonzero((p >= low) & (p <= high))), p.size)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
