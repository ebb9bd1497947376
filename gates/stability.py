"""Is it about as good in every block of time, and does it say plausible things?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gates.base import Candidate, at_least
from gates.limits import Limits
from plugin.manifest import GateResult


def stability(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The stack's worst fold, and the share of its probabilities within 0.3 to 0.7."""
    metrics = candidate.metrics()
    folds = [fold["auc"].get("stack") for fold in metrics.get("folds", ())]
    judged = [auc for auc in folds if isinstance(auc, float) and math.isfinite(auc)]
    shares = [one["stack"].get("share_within_0.3_0.7") for one in metrics.get("symbols", {}).values()]
    return [
        at_least(
            "worst_fold",
            "shadow",
            min(judged) if judged else None,
            limits.fold_auc - limits.fold_auc_tolerance,
            "AUC of the stack in its worst fold",
        ),
        at_least(
            "plausible",
            "shadow",
            min(shares) if shares and None not in shares else None,
            limits.share_within_middle,
            "share of the stack's probabilities within 0.3 to 0.7",
        ),
    ]
