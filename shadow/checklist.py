"""May the ensemble go live? Every limit of the report, and the verdict on each.

The limits are those of the reference system. Too little to tell is its own verdict, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from shadow.evidence import Evidence
from shadow.skill import PRIMARY_HORIZON

Verdict = Literal["pass", "fail", "not enough evidence"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one table of limits. Shares must lie above theirs, counts must not. A file changes them."""

    coverage: float = 0.80
    stacking_activation: float = 0.90
    member_normal_rate: float = 0.95
    member_normal_rates: Mapping[str, float] = MappingProxyType({"tft": 0.80})
    """Members that are held to another rate: the reference's TFT is known to be fragile."""
    share_within_middle: float = 0.50
    """"Mostly" means more than half: often being surer than that about the next bars is a defect."""
    hours_in_shadow: float = 24.0
    n_errors: int = 0
    n_damaged: int = 0


LIMITS = Limits()
COUNTED = frozenset({"hours_in_shadow", "errors", "damage", "real_market"})
"""The checks whose value is no share."""


class Check(msgspec.Struct, frozen=True):
    """One line of the checklist. `value` is NaN where it could not be measured."""

    name: str
    value: float
    limit: float
    verdict: Verdict
    says: str


class Luck(msgspec.Struct, frozen=True):
    """The chance that a model without skill looks at least this good; NaN where it can not be told."""

    horizon_bars: int
    probability: float
    says: str


def checklist(evidence: Evidence, min_bars: int, limits: Limits = LIMITS) -> list[Check]:
    """Hold the evidence against the limits; a share of fewer than `min_bars` bars is not judged."""
    recorded = evidence.bars_recorded
    with_p = evidence.bars_with_probability
    return [
        _share(
            "coverage",
            "bars with a probability",
            evidence.coverage,
            limits.coverage,
            evidence.bars_expected >= min_bars,
        ),
        _share(
            "stacking_activation",
            "stacking active",
            evidence.stacking_activation,
            limits.stacking_activation,
            recorded >= min_bars,
        ),
        *_members(evidence, min_bars, limits),
        _share(
            "share_within_0.3_0.7",
            "probabilities within 0.3 to 0.7",
            evidence.share_within_middle,
            limits.share_within_middle,
            with_p >= min_bars,
        ),
        _hours_check(evidence.hours_in_shadow, limits.hours_in_shadow),
        _count("errors", "bars with an error", evidence.n_errors, limits.n_errors, recorded),
        _damage_check(evidence, limits),
        *_market(evidence),
    ]


def is_ready(checks: list[Check]) -> bool | None:
    """True when every check passes, False when one fails, None when the evidence does not suffice."""
    verdicts = {check.verdict for check in checks}
    if "fail" in verdicts:
        return False
    return None if "not enough evidence" in verdicts else True


def luck(evidence: Evidence) -> Luck:
    """Whether the skill at the primary horizon could be luck, in plain words."""
    horizon_bars = int(PRIMARY_HORIZON)
    figures = evidence.outcomes.get(PRIMARY_HORIZON)
    if figures is None or math.isnan(figures.p_value_no_skill):
        why = "no outcome is known yet" if figures is None or figures.reason is None else figures.reason
        return Luck(horizon_bars, math.nan, f"It can not be told yet: {why}.")
    chance = figures.p_value_no_skill
    share = f"{chance:.0%} of" if chance >= 0.005 else "fewer than 1 in 200"
    worth = f"{figures.n} outcomes worth {figures.n_effective:.0f} independent ones"
    says = (
        f"A model without skill looks at least this good in {share} such windows"
        f" ({horizon_bars} bars ahead, {worth})."
    )
    return Luck(horizon_bars, chance, says)


def _members(evidence: Evidence, min_bars: int, limits: Limits) -> list[Check]:
    if not evidence.members:
        says = "no member has answered in this window"
        return [Check("members", math.nan, limits.member_normal_rate, "not enough evidence", says)]
    return [
        _share(
            f"members.{name}",
            f"{name} answers normally",
            member.normal_rate,
            limits.member_normal_rates.get(name, limits.member_normal_rate),
            member.n >= min_bars,
        )
        for name, member in evidence.members.items()
    ]


def _share(name: str, what: str, value: float, limit: float, is_enough: bool) -> Check:
    verdict: Verdict = "not enough evidence"
    if is_enough and not math.isnan(value):
        verdict = "pass" if value > limit else "fail"
    was = "not measured" if math.isnan(value) else f"{value:.1%}"
    few = "" if is_enough else ", on too few bars to judge"
    return Check(name, value, limit, verdict, f"{what}: expected more than {limit:.0%}, was {was}{few}")


def _hours_check(hours: float, limit: float) -> Check:
    says = f"hours in shadow: expected at least {limit:.0f}, was {hours:.1f}"
    return Check(
        "hours_in_shadow", hours, limit, "pass" if hours >= limit else "not enough evidence", says
    )


def _count(name: str, what: str, value: int, limit: int, n_bars: int) -> Check:
    verdict: Verdict = "pass" if n_bars else "not enough evidence"
    if value > limit:
        verdict = "fail"
    return Check(name, value, limit, verdict, f"{what}: expected at most {limit}, was {value}")


def _damage_check(evidence: Evidence, limits: Limits) -> Check:
    """A damaged log says nothing against the ensemble, and not enough for it."""
    n = evidence.damage.n_total
    check = _count("damage", "damage in the log", n, limits.n_damaged, evidence.bars_recorded)
    if check.verdict == "fail":
        return msgspec.structs.replace(check, verdict="not enough evidence")
    return check


def _market(evidence: Evidence) -> list[Check]:
    if not evidence.simulated:
        return []
    says = "the market is simulated: nothing here says how the ensemble does on a real one"
    return [Check("real_market", 0.0, 1.0, "not enough evidence", says)]
