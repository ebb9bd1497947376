"""Is it better than a coin, than the naive rule, and as good as was asked for?

Every value comes from out-of-fold rows at the primary horizon. With several symbols the worst counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, above, at_least, below
from gates.limits import Limits
from gates.metrics import Metrics, worst
from plugin.manifest import GateResult


def performance(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Members against their limits, the stack against its own, the naive rule and the constant."""
    metrics = candidate.metrics()
    rows = at_least("oof_rows", "live", metrics.oof_rows, limits.oof_rows, "out-of-fold rows")
    return [rows, *_members(metrics, limits), *_stack(metrics, limits)]


def _members(metrics: Metrics, limits: Limits) -> list[GateResult]:
    return [
        at_least(
            f"performance_{name}",
            "live",
            metrics.mean_fold_auc.get(name),
            limit,
            f"AUC of {name}, mean over the blocks of time",
        )
        for name, limit in limits.member_auc.items()
    ]


def _stack(metrics: Metrics, limits: Limits) -> list[GateResult]:
    stack = metrics.of_symbols("stack")
    reversal = metrics.of_symbols("reversal")
    ahead = [_less(stack[symbol].auc, reversal[symbol].auc) for symbol in stack]
    where = f", on its worst of {len(stack)} symbols" if len(stack) > 1 else ""
    return [
        at_least(
            "performance_stack",
            "live",
            worst(one.auc for one in stack.values()),
            limits.stack_auc,
            f"AUC of the stack{where}",
        ),
        above(
            "skill",
            "live",
            worst(one.auc_low for one in stack.values()),
            limits.stack_auc_low,
            f"lower end of the 95 % interval of the stack's AUC{where}",
        ),
        above(
            "over_reversal",
            "live",
            worst(ahead),
            limits.stack_over_reversal,
            f"AUC of the stack less that of the untrained reversal rule{where}",
        ),
        below(
            "calibration",
            "live",
            worst((one.brier for one in stack.values()), max),
            limits.stack_brier,
            f"Brier score of the stack, mean squared error of its probabilities{where}",
        ),
    ]


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
