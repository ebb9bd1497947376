"""Is it better than a coin, than the naive rule, and as good as was asked for?

Every value comes from out-of-fold rows at the primary horizon. With several symbols the worst counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gates.base import Candidate, above, at_least, below
from gates.limits import Limits
from plugin.manifest import GateResult


def performance(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Members against their limits, the stack against its own, the naive rule and the constant."""
    metrics = candidate.metrics()
    by_symbol = list(metrics.get("symbols", {}).values())
    mean_auc = metrics.get("mean_fold_auc", {})
    return [
        at_least("oof_rows", "live", metrics.get("oof_rows"), limits.oof_rows, "out-of-fold rows"),
        *(
            at_least(
                f"performance_{name}",
                "live",
                mean_auc.get(name),
                limit,
                f"mean AUC of {name} over folds",
            )
            for name, limit in limits.member_auc.items()
        ),
        at_least(
            "performance_stack",
            "live",
            _worst(by_symbol, lambda one: one["stack"]["auc"]),
            limits.stack_auc,
            "AUC of the stack",
        ),
        above(
            "skill",
            "live",
            _worst(by_symbol, lambda one: one["stack"]["auc_low"]),
            limits.stack_auc_low,
            "lower end of the 95 % interval of the stack's AUC",
        ),
        above(
            "over_reversal",
            "live",
            _worst(by_symbol, lambda one: one["stack"]["auc"] - one["reversal"]["auc"]),
            limits.stack_over_reversal,
            "AUC of the stack less that of the reversal rule",
        ),
        below(
            "calibration",
            "live",
            _worst(by_symbol, lambda one: one["stack"]["brier"], worst=max),
            limits.stack_brier,
            "Brier score of the stack",
        ),
    ]


def _worst(
    by_symbol: Sequence[Any],
    value_of: Callable[[Any], float],
    worst: Callable[[Sequence[float]], float] = min,
) -> float | None:
    """None where a symbol lacks the value: a missing one could be the worst."""
    try:
        values = [value_of(one) for one in by_symbol]
        return worst(values) if values and all(map(math.isfinite, values)) else None
    except (KeyError, TypeError):
        return None
