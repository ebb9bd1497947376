"""Has the bundle seen a real market at all?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, not_known
from gates.limits import Limits
from plugin.candles import SIMULATED_VENUE
from plugin.manifest import GateResult

_LIMIT = "bars of a real market"


def real_market(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """Skill on made-up bars says nothing about real ones, whatever the other gates found."""
    if candidate.manifest is None:
        return [not_known("real_market", "live", _LIMIT, "where it learnt is not known")]
    venue = candidate.manifest.venue
    simulated = venue == SIMULATED_VENUE
    return [
        GateResult(
            name="real_market",
            level="live",
            value=venue,
            limit=_LIMIT,
            verdict="fail" if simulated else "pass",
            sentence="it learnt on a SIMULATED market"
            if simulated
            else f"it learnt on bars of {venue}",
        )
    ]
