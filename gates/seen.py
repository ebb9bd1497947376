"""Were the out-of-fold answers really given by models that had not seen the bars?

A model knows the bars that it has learnt from better than others. Training also measures what the
models that serve, which have learnt from all bars, say of the same rows. Answers "out of fold" that are
about as good as theirs were given by models that had seen the rows, whatever the manifest calls them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gates.base import Candidate, at_least
from gates.limits import Limits
from gates.metrics import worst
from plugin.manifest import GateResult


def seen(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """How far each member's AUC lies below that of its serving model, at every horizon."""
    measured = candidate.measured
    what = "AUC of a serving model on bars that it has learnt from less the AUC out of fold"
    if isinstance(measured, str):
        return [at_least("seen", "shadow", None, limits.seen, what, measured)]
    metrics = candidate.metrics()
    ahead: dict[str, float] = {}
    for at in measured.by_horizon():
        for member in at.members:
            learnt = metrics[at.horizon].seen_auc.get(member)
            known = math.nan if learnt is None else learnt
            ahead[f"{member} at {at.horizon} bars"] = known - at.common_auc(member)
    least = worst(ahead.values())
    if least is not None:
        what += f", least for {min(ahead, key=ahead.__getitem__)}"
    return [at_least("seen", "shadow", least, limits.seen, what)]
