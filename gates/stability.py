"""Is it about as good in every block of time and every year, and does it say plausible things?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gates.base import NOT_MEASURED, Candidate, at_least, at_most
from gates.limits import Limits
from gates.measured import Measured
from gates.metrics import worst
from gates.out_of_fold import STACK
from plugin.manifest import GateResult


def stability(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The stack's worst block and year, how far blocks lie apart, the share within 0.3 to 0.7."""
    measured = candidate.measured
    known = measured if isinstance(measured, Measured) else None
    why = measured if isinstance(measured, str) else NOT_MEASURED
    return [
        at_least(
            "worst_fold",
            "shadow",
            worst(known.block_aucs(STACK)) if known else None,
            limits.fold_auc - limits.fold_auc_tolerance,
            "AUC of the stack in its worst block of time",
            why,
        ),
        _worst_year(known, limits, why),
        _spread(known, limits, why),
        at_least(
            "plausible",
            "shadow",
            worst(known.share_within(0.3, 0.7)) if known else None,
            limits.share_within_middle,
            "share of the stack's probabilities within 0.3 to 0.7",
            why,
        ),
    ]


def _worst_year(measured: Measured | None, limits: Limits, why: str) -> GateResult:
    """Of years with rows enough; in a short one luck alone moves an AUC far, so the interval counts."""
    highest = {}
    if measured:
        closed = measured.rows.known_from_ms.astype("datetime64[ms]")
        year = closed.astype("datetime64[Y]").astype(np.int64) + 1970
        for one in np.unique(year[measured.common]).tolist():
            rows = measured.common & (year == one)
            if rows.sum() >= limits.year_rows:
                highest[one] = measured.interval(rows).high
        if not highest:
            why = f"no year has {limits.year_rows} judged rows"
    worst_high = worst(highest.values())
    where = f" ({min(highest, key=highest.__getitem__)})" if worst_high is not None else ""
    what = f"upper end of the 95 % interval of the stack's AUC in its worst year{where}"
    return at_least("worst_year", "shadow", worst_high, limits.fold_auc, what, why)


def _spread(measured: Measured | None, limits: Limits, why: str) -> GateResult:
    """Of members, which answer in all blocks; the stack lacks the first."""
    spreads = {}
    if measured and len(measured.blocks) > 1:
        spreads = {name: float(np.std(measured.block_aucs(name))) for name in measured.members}
    elif measured:
        why = "there is one block of time only"
    largest = worst(spreads.values(), max)
    where = f", largest for {max(spreads, key=spreads.__getitem__)}" if largest is not None else ""
    what = f"standard deviation of a member's AUC over the blocks of time{where}"
    return at_most("spread", "shadow", largest, limits.fold_spread, what, why)
