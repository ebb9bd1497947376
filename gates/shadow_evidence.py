"""Has this bundle shown in shadow that it is alive and well?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, not_known
from gates.limits import Limits
from plugin.manifest import GateResult, Verdict
from shadow.checklist import checklist, is_ready
from shadow.evidence import weigh
from shadow.window import read_window

_LIMIT = "every line of the checklist of `python -m shadow.report`"
_MIN_BARS = 24


def shadow_evidence(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The go-live checklist over records that this bundle, and no other, has answered."""
    if candidate.shadow_dir is None or not candidate.shadow_dir.is_dir():
        return [_unknown("no shadow record yet: let it run beside the bot")]
    try:
        window = read_window(candidate.shadow_dir, candidate.now_ms, candidate.shadow_days)
    except OSError as error:
        return [_unknown(f"the shadow log can not be read: {error}")]
    evidence = weigh(window)
    if set(evidence.bundles) != {candidate.folder.name}:
        others = ", ".join(name for name in evidence.bundles if name != candidate.folder.name)
        return [_unknown(f"the last {candidate.shadow_days} days hold answers of {others or 'nobody'}")]
    checks = checklist(evidence, _MIN_BARS)
    verdict: Verdict = {True: "pass", False: "fail", None: "not enough evidence"}[is_ready(checks)]  # type: ignore[assignment]
    open_points = [check.says for check in checks if check.verdict != "pass"]
    return [
        GateResult(
            name="shadow_evidence",
            level="live",
            value=evidence.hours_in_shadow,
            limit=_LIMIT,
            verdict=verdict,
            sentence="; ".join(open_points)
            or f"{evidence.hours_in_shadow:g} hours in shadow, all well",
        )
    ]


def _unknown(sentence: str) -> GateResult:
    return not_known("shadow_evidence", "live", _LIMIT, sentence)
