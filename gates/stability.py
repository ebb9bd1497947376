"""Is it about as good in every block of time, and does it say plausible things?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, at_least
from gates.limits import Limits
from gates.metrics import worst
from plugin.manifest import GateResult


def stability(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The stack's worst fold, and the share of its probabilities within 0.3 to 0.7."""
    metrics = candidate.metrics()
    # In the first fold the stack has nothing to learn from, and so no answer; in all others it must.
    folds = [fold.auc.get("stack") for fold in metrics.folds[1:]]
    shares = [stack.share_within_middle for stack in metrics.of_symbols("stack").values()]
    return [
        at_least(
            "worst_fold",
            "shadow",
            worst(folds),
            limits.fold_auc - limits.fold_auc_tolerance,
            "AUC of the stack in its worst block of time",
        ),
        at_least(
            "plausible",
            "shadow",
            worst(shares),
            limits.share_within_middle,
            "share of the stack's probabilities within 0.3 to 0.7",
        ),
    ]
