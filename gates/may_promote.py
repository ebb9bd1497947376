"""May the challenger take the champion's place?

It must be fit for shadow, and not worse than the champion: out of fold, on the years that both were
judged on, and in shadow, where it must be well, too. Nothing is lost by a promotion: skill and a real
market that the champion has shown, or everything where the champion is fit for live. The other figures
of two bundles are of different years: that one year was easier to foresee says nothing about a bundle.
"""

from __future__ import annotations

import msgspec

from gates.base import not_known
from gates.runner import run_gates
from gates.view import View
from gates.watch import is_watched
from plugin.errors import WrongUse
from plugin.manifest import GateReport, GateResult
from plugin.registry import Pointer, Registry

AGAINST_CHAMPION = "against_champion"
IN_SHADOW = (AGAINST_CHAMPION, "shadow_evidence")
"""The gates that read shadow records: a report made at the end of a training can not pass them."""
NOT_WORSE = "not_worse"
_KEPT = frozenset({"real_market", "skill"})


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What all gates said of the challenger just now, and which of them keep it from promotion."""

    bundle_id: str
    report: GateReport
    missing: tuple[GateResult, ...]

    @property
    def may_promote(self) -> bool:
        return not self.missing

    @property
    def may_be_overridden(self) -> bool:
        """Missing evidence may be waived; fitness for shadow and being shown to be worse may not."""
        is_worse = any(one.name == AGAINST_CHAMPION and one.verdict == "fail" for one in self.missing)
        return self.report.level != "none" and not is_worse


def judge(view: View) -> Judged:
    """Ask all gates about the challenger; takes seconds, as a new process repeats its golden answers.

    Raises WrongUse where there is nobody to promote, BundleRefused where a pointer or the report on the
    champion is damaged.
    """
    champion, challenger = real_challenger(view.registry)
    folder = view.registry.bundle_folder(challenger)
    report = run_gates(
        folder,
        now_ms=view.now_ms,
        limits=view.limits,
        shadow_dir=view.shadow_dir,
        shadow_days=view.shadow_days,
    )
    missing = missing_for_promotion(report, view.report(champion))
    return Judged(bundle_id=folder.name, report=report, missing=missing)


def real_challenger(registry: Registry) -> tuple[Pointer, Pointer]:
    """The champion and who is tried beside it.

    Raises WrongUse where nobody is, or where it is the former champion, which waits for a rollback.
    """
    champion, challenger = registry.champion(), registry.challenger()
    if champion is None or challenger is None:
        raise WrongUse("a challenger to promote", "none", "train one, or install one")
    if is_watched(champion, challenger):
        was = f"{challenger.bundle_id}, the champion before this one"
        raise WrongUse("a challenger to promote", was, "`python -m gates rollback` goes back to it")
    return champion, challenger


def missing_for_promotion(report: GateReport, of_champion: GateReport | None) -> tuple[GateResult, ...]:
    """What `report` says of the gates that do not pass and have to, those of the level shadow first."""
    said = {result.name: result for result in report.results}
    for_shadow = [result.name for result in report.results if result.level == "shadow"]
    needed = dict.fromkeys((*for_shadow, NOT_WORSE, *IN_SHADOW, *_kept(of_champion)))
    found = [
        said.get(name) or not_known(name, "live", "pass", f"{name} was not asked") for name in needed
    ]
    return tuple(result for result in found if result.verdict != "pass")


def _kept(of_champion: GateReport | None) -> list[str]:
    """The gates that the champion passes and whoever follows it must pass as well."""
    if of_champion is None:
        return []
    all_of_them = of_champion.level == "live"
    passed = (one.name for one in of_champion.results if one.verdict == "pass")
    return [name for name in passed if all_of_them or name in _KEPT]
