"""What do all gates together say of a bundle?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

from gates.against_champion import against_champion
from gates.base import Candidate, Gate, Incumbent
from gates.champion_oof import not_worse
from gates.collapse import collapse
from gates.integrity import integrity
from gates.latency import latency
from gates.limits import LIMITS, Limits, changes
from gates.metadata import metadata
from gates.parity import parity
from gates.performance import performance
from gates.real_market import real_market
from gates.regime import regime
from gates.seen import seen
from gates.shadow_evidence import shadow_evidence
from gates.stability import stability
from gates.validation import validation_test
from plugin.bundle import verify_bundle
from plugin.errors import BundleRefused, ShadowgateError, WrongUse
from plugin.manifest import GateReport, GateResult, Level, Manifest
from plugin.registry import Registry

GATES: tuple[Gate, ...] = (
    integrity,
    metadata,
    parity,
    latency,
    stability,
    collapse,
    seen,
    real_market,
    performance,
    validation_test,
    regime,
    not_worse,
    shadow_evidence,
    against_champion,
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
    candidate = _candidate(folder, now_ms, shadow_dir, shadow_days)
    results = tuple(result for gate in GATES for result in gate(candidate, limits))
    return GateReport(level=level_of(results), results=results, changed_limits=changes(limits))


def ask_gates(
    names: Collection[str],
    folder: Path,
    *,
    now_ms: int,
    limits: Limits = LIMITS,
    shadow_dir: Path | None = None,
    shadow_days: int = 14,
) -> tuple[GateResult, ...]:
    """Ask only the gates of these names; what a bundle is fit for can not be told from some of them.

    Raises WrongUse where there is no such folder or no such gate.
    """
    by_name = _gates_by_name(limits)
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1) or list(by_name)
            raise WrongUse("the name of a gate", repr(name), f"try {', '.join(near)}")
    candidate = _candidate(folder, now_ms, shadow_dir, shadow_days)
    wanted = dict.fromkeys(gate for name, gate in by_name.items() if name in names)
    results = [result for gate in wanted for result in gate(candidate, limits)]
    return tuple(result for result in results if result.name in names)


def _gates_by_name(limits: Limits) -> Mapping[str, Gate]:
    """Gates answer about a bundle that can not be read as well: that is how they say their names."""
    nobody = Candidate(Path(), None, "", shadow_dir=None, shadow_days=1, now_ms=0)
    return {result.name: gate for gate in GATES for result in gate(nobody, limits)}


def _candidate(folder: Path, now_ms: int, shadow_dir: Path | None, shadow_days: int) -> Candidate:
    return Candidate(
        *_verified(folder),
        shadow_dir=shadow_dir,
        shadow_days=shadow_days,
        now_ms=now_ms,
        champion=_incumbent(folder),
    )


def _verified(folder: Path) -> tuple[Path, Manifest | None, str | None, Mapping[str, bytes]]:
    """The fields of a stored bundle."""
    try:
        manifest, files = verify_bundle(folder)
    except BundleRefused as error:
        return folder, None, str(error), {}
    return folder, manifest, None, files


def _incumbent(folder: Path) -> Incumbent | None:
    """Who serves from the models folder that `folder` lies in, below `bundles` or `drafts`."""
    registry = Registry(folder.parent.parent)
    try:
        pointer = registry.champion()
        if pointer is None or pointer.bundle_id == folder.name:
            return None
        serving = registry.bundle_folder(pointer)
    except ShadowgateError as error:
        return Incumbent(registry.bundles, None, str(error))
    return Incumbent(*_verified(serving))


def level_of(results: tuple[GateResult, ...]) -> Level:
    """What a bundle is fit for: every gate of a level must pass, and "live" needs both levels."""
    passed = {
        level: all(one.verdict == "pass" for one in results if one.level == level)
        for level in ("shadow", "live")
    }
    if not passed["shadow"]:
        return "none"
    return "live" if passed["live"] else "shadow"
