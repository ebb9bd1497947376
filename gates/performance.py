"""Is it better than a coin, than the naive rule, and as good as was asked for?

Every value comes from out-of-fold rows at the primary horizon. With several symbols the worst counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gates.base import Candidate, above, at_least, at_most, below
from gates.limits import Limits
from gates.measured import Measured
from gates.metrics import worst
from plugin.manifest import GateResult


def performance(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Members against their limits, the stack against its own, the naive rule and the constant."""
    measured = candidate.measured
    known = measured if isinstance(measured, Measured) else None
    why = measured if isinstance(measured, str) else "not measured"
    n_rows = int(known.known.sum()) if known else None
    rows = at_least("oof_rows", "live", n_rows, limits.oof_rows, "out-of-fold rows", why)
    reversal = _reversal(candidate) if known else []
    return [rows, *_members(known, limits, why), *_stack(known, reversal, limits, why)]


def _members(measured: Measured | None, limits: Limits, why: str) -> list[GateResult]:
    return [
        at_least(
            f"performance_{name}",
            "live",
            float(np.mean(measured.block_aucs(name)))
            if measured and name in measured.members
            else None,
            limit,
            f"AUC of {name}, mean over the blocks of time",
            why,
        )
        for name, limit in limits.member_auc.items()
    ]


def _stack(
    measured: Measured | None, reversal: Sequence[float | None], limits: Limits, why: str
) -> list[GateResult]:
    areas = measured.stack_auc if measured else []
    scores = measured.stack_brier if measured else []
    ahead = [
        None if naive is None else area.estimate - naive
        for area, naive in zip(areas, reversal, strict=True)
    ]
    where = f", on its worst of {len(areas)} symbols" if len(areas) > 1 else ""
    return [
        at_least(
            "performance_stack",
            "live",
            worst(area.estimate for area in areas),
            limits.stack_auc,
            f"AUC of the stack{where}",
            why,
        ),
        above(
            "skill",
            "live",
            worst(area.low for area in areas),
            limits.stack_auc_low,
            f"lower end of the 95 % interval of the stack's AUC{where}",
            why,
        ),
        above(
            "over_reversal",
            "live",
            worst(ahead),
            limits.stack_over_reversal,
            f"AUC of the stack less that of the untrained reversal rule{where}",
            why,
        ),
        below(
            "calibration",
            "live",
            worst((score.score for score in scores), max),
            limits.stack_brier,
            f"Brier score of the stack, mean squared error of its probabilities{where}",
            why,
        ),
        at_most(
            "reliability",
            "live",
            worst((score.reliability for score in scores), max),
            limits.stack_reliability,
            f"mean squared distance of what the stack said from what came, over ten bins{where}",
            why,
        ),
    ]


def _reversal(candidate: Candidate) -> list[float | None]:
    """The AUC of the reversal rule on each symbol: rows do not hold it, so training is believed."""
    if candidate.manifest is None:
        return []
    by_symbol = candidate.metrics()[candidate.manifest.primary_horizon].symbols
    figures = [by_symbol.get(symbol, {}).get("reversal") for symbol in candidate.manifest.symbols]
    return [None if one is None else one.auc for one in figures]
