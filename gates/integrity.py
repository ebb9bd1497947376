"""Is the bundle whole, of this format, and over the features of this release?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate
from gates.limits import Limits
from plugin.manifest import GateResult


def integrity(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Every file there, none beside them, every hash right, the features known."""
    whole = candidate.refusal is None
    return [
        GateResult(
            name="integrity",
            level="shadow",
            value=candidate.refusal,
            limit="every file as the manifest says",
            verdict="pass" if whole else "fail",
            sentence=candidate.refusal or "every file is there, none beside them, every hash is right",
        )
    ]
