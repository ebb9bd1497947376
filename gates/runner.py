"""What do all gates together say of a bundle?"""

from __future__ import annotations

from pathlib import Path

from gates.base import Candidate, Gate
from gates.integrity import integrity
from gates.limits import LIMITS, Limits
from gates.parity import parity
from gates.performance import performance
from gates.real_market import real_market
from gates.shadow_evidence import shadow_evidence
from gates.stability import stability
from plugin.bundle import verify_bundle
from plugin.errors import BundleRefused
from plugin.manifest import GateReport, GateResult, Level

GATES: tuple[Gate, ...] = (
    integrity,
    parity,
    stability,
    real_market,
    performance,
    shadow_evidence,
)


def run_gates(
    folder: Path,
    *,
    now_ms: int,
    limits: Limits = LIMITS,
    shadow_dir: Path | None = None,
    shadow_days: int = 14,
) -> GateReport:
    """Ask every gate about the bundle in `folder`; none is left out because another one failed.

    Raises WrongUse where there is no such folder.
    """
    try:
        manifest, refusal = verify_bundle(folder)[0], None
    except BundleRefused as error:
        manifest, refusal = None, str(error)
    candidate = Candidate(folder, manifest, refusal, shadow_dir, shadow_days, now_ms)
    results = tuple(result for gate in GATES for result in gate(candidate, limits))
    return GateReport(level=level_of(results), results=results)


def level_of(results: tuple[GateResult, ...]) -> Level:
    """What a bundle is fit for: every gate of a level must pass, and "live" needs both levels."""
    passed = {
        level: all(one.verdict == "pass" for one in results if one.level == level)
        for level in ("shadow", "live")
    }
    if not passed["shadow"]:
        return "none"
    return "live" if passed["live"] else "shadow"
