"""What has the challenger shown so far, and what follows from it?

A review looks every few minutes, so it asks the two gates that read shadow records alone; the others
were asked at the end of the training, and are asked again when the promotion itself is due.
"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import not_known
from gates.may_promote import AGAINST_CHAMPION, IN_SHADOW, judge, missing_for_promotion
from gates.runner import ask_gates
from gates.view import Step, View, moved_ms
from plugin.errors import ShadowgateError
from plugin.manifest import GateResult
from plugin.registry import Pointer

_DAY_MS = 86_400_000


def on_trial(view: View, champion: Pointer, challenger: Pointer, auto_promote: bool) -> Step:
    """What is due for the challenger.

    `dismissed` where it is shown to be worse or its time is up; `ready` where its records leave nothing
    missing, or with `auto_promote` `promoted` where all gates find the same; else `nothing`.
    """
    shown = _shown_in_shadow(view, challenger)
    for one in shown:
        if one.name == AGAINST_CHAMPION and one.verdict == "fail":
            return Step(action="dismissed", bundle_id=challenger.bundle_id, why=one.sentence)
    missing = [one for one in shown if one.verdict != "pass"]
    missing += _known_before(view, champion, challenger)
    why = "; ".join(one.sentence for one in shown)
    if not missing and not auto_promote:
        why = f"`python -m gates promote` asks all gates again and makes it champion: {why}"
        return Step(action="ready", bundle_id=challenger.bundle_id, why=why)
    if not missing:
        judged = judge(view)
        if judged.may_promote:
            return Step(action="promoted", bundle_id=judged.bundle_id, why=why, report=judged.report)
        missing += judged.missing
    return _still_missing(view, challenger, missing)


def _still_missing(view: View, challenger: Pointer, missing: Sequence[GateResult]) -> Step:
    """Nothing is due while there is time; then the seat is needed for the next one."""
    days = (view.now_ms - moved_ms(challenger)) / _DAY_MS
    why = "; ".join(one.sentence for one in missing)
    if days >= view.limits.challenger_days:
        why = f"undecided after {days:.0f} days: {why}"
        return Step(action="dismissed", bundle_id=challenger.bundle_id, why=why)
    return Step(action="nothing", bundle_id=challenger.bundle_id, why=f"on trial: {why}")


def _shown_in_shadow(view: View, challenger: Pointer) -> tuple[GateResult, ...]:
    try:
        folder = view.registry.bundle_folder(challenger)
    except ShadowgateError as error:  # gone, or another one than got the seat
        return (not_known("integrity", "shadow", "pass", str(error)),)
    return ask_gates(
        IN_SHADOW,
        folder,
        now_ms=view.now_ms,
        limits=view.limits,
        shadow_dir=view.shadow_dir,
        shadow_days=view.shadow_days,
    )


def _known_before(view: View, champion: Pointer, challenger: Pointer) -> list[GateResult]:
    """What the stored reports say is missing, less what only shadow records can show."""
    report = view.report(challenger)
    if report is None:
        return [not_known("integrity", "shadow", "pass", "it is damaged, or no gate has looked at it")]
    asked = {result.name for result in report.results} - {*IN_SHADOW}
    missing = missing_for_promotion(report, view.report(champion))
    return [one for one in missing if one.name in asked]
