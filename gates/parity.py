"""Does the live code say what training said, on the golden bars?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, at_most, not_known
from gates.limits import Limits
from plugin.canary import check_in_child
from plugin.manifest import GateResult


def parity(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """A new process repeats the golden answers: features of the history walk, the libraries' own
    predictions, the meta-model."""
    what = "largest difference from training's own answers"
    if candidate.manifest is None:
        return [not_known("parity", "shadow", f"<= {limits.parity:g}", f"{what}: no bundle to ask")]
    report = check_in_child(candidate.folder)
    if report.refusal is not None:
        return [
            GateResult(
                name="parity",
                level="shadow",
                value=None,
                limit=f"<= {limits.parity:g}",
                verdict="fail",
                sentence=report.refusal,
            )
        ]
    return [at_most("parity", "shadow", report.largest_difference, limits.parity, what)]
