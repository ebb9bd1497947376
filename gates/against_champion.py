"""Has the challenger, on the bars that both were asked about, shown that it is not worse?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gates.base import Candidate
from gates.limits import Limits
from plugin.bar import Timeframe
from plugin.manifest import GateResult, Manifest, Verdict
from shadow.compare import Comparison, compare
from shadow.errors import ShadowgateError

_NAME = "against_champion"
_DAY_MS = 86_400_000
_NOBODY = "nobody else serves: there is nobody that it could be worse than"


def against_champion(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The Brier score of its answers in shadow beside that of the champion's, paired bar by bar.

    The evidence is an e-value, which may be looked at after every bar: see docs/statistics.md.
    """
    if candidate.manifest is None:
        return [_result("not enough evidence", None, limits, "no bundle to compare")]
    if candidate.champion is None:
        return [_result("pass", None, limits, _NOBODY)]
    champion = candidate.champion.manifest
    if champion is None:
        why = f"the champion can not be read: {candidate.champion.refusal}"
        return [_result("not enough evidence", None, limits, why)]
    if candidate.shadow_dir is None:
        why = "no shadow records were looked at: let it run beside the champion"
        return [_result("not enough evidence", None, limits, why)]
    found = compare_pair(candidate.shadow_dir, candidate.manifest, champion, limits, candidate.now_ms)
    if isinstance(found, str):
        return [_result("not enough evidence", None, limits, found)]
    verdict, sentence = _judged(found, limits, Timeframe.parse(champion.timeframe).length_ms)
    return [_result(verdict, found.evidence.not_inferior, limits, sentence)]


def compare_pair(
    shadow_dir: Path, challenger: Manifest, champion: Manifest, limits: Limits, until_ms: int
) -> Comparison | str:
    """What the records say of two bundles at their primary horizon, or why they say nothing."""
    ours, theirs = ((one.timeframe, one.primary_horizon) for one in (challenger, champion))
    if ours != theirs:
        expected = f"{theirs[1]} bars of {theirs[0]} ahead, as the champion"
        return f"expected a bundle that predicts {expected}, was {ours[1]} bars of {ours[0]}"
    if not shadow_dir.is_dir():
        return f"no shadow records in {shadow_dir}: let it run beside the champion"
    try:
        return compare(
            shadow_dir,
            challenger=challenger.bundle_id,
            champion=champion.bundle_id,
            horizon_bars=challenger.primary_horizon,
            margin=limits.pair_brier_margin,
            level=limits.pair_evidence,
            until_ms=until_ms,
        )
    except (OSError, ShadowgateError) as error:
        return f"the shadow records in {shadow_dir} can not be read: {error}"
    except ValueError as error:  # of limits that a person has changed
        return f"the two can not be compared: {error}"


def _judged(found: Comparison, limits: Limits, length_ms: int) -> tuple[Verdict, str]:
    evidence, enough, margin = found.evidence, limits.pair_evidence, limits.pair_brier_margin
    if found.n_damaged:
        return (
            "not enough evidence",
            f"{found.n_damaged} faults in the log since the two answer together",
        )
    if evidence.reason is not None:
        return "not enough evidence", f"nothing to compare with the champion yet: {evidence.reason}"
    alone = f", {found.n_only_champion} without its answer" if found.n_only_champion else ""
    measured = f"{evidence.mean_difference:+.4f} on {evidence.n_bars} bars{alone}"
    if evidence.worse >= enough:
        return "fail", f"its Brier score is shown to be above the champion's: {measured}"
    what = f"that its Brier score is at most {margin:g} above the champion's ({measured})"
    was = f"evidence {what}: expected >= {enough:g}, was {evidence.not_inferior:.3g}"
    if evidence.not_inferior >= enough:
        return "pass", was
    return "not enough evidence", f"{was}; {_still(evidence.bars_needed, length_ms)}"


def _still(bars_needed: int | None, length_ms: int) -> str:
    if bars_needed is None:
        return "how many more bars it takes can not be told yet"
    return f"about {bars_needed:,} more bars, {bars_needed * length_ms / _DAY_MS:.0f} days"


def _result(verdict: Verdict, value: float | None, limits: Limits, sentence: str) -> GateResult:
    return GateResult(
        name=_NAME,
        level="live",
        value=value,
        limit=f">= {limits.pair_evidence:g}",
        verdict=verdict,
        sentence=sentence,
    )
