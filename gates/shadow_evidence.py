"""Has this bundle shown in shadow that it is alive and well?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, not_known
from gates.limits import Limits
from plugin.manifest import GateResult, Verdict
from shadow.checklist import checklist, is_ready
from shadow.errors import ShadowError
from shadow.evidence import weigh
from shadow.window import read_window

_LIMIT = "every line of the checklist of `python -m shadow.report`"
_MIN_BARS = 24


def shadow_evidence(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The go-live checklist over records that this bundle, and no other, has answered."""
    folder, days = candidate.shadow_dir, candidate.shadow_days
    if folder is None:
        return [
            _unknown(
                "no shadow records were looked at: let it run in shadow, then check with --shadow-dir"
            )
        ]
    if not folder.is_dir():
        return [_unknown(f"no shadow records in {folder}: let the bundle run beside the bot")]
    try:
        evidence = weigh(read_window(folder, candidate.now_ms, days))
    except (OSError, ShadowError) as error:
        return [_unknown(f"the shadow records in {folder} can not be read: {error}")]
    others = ", ".join(sorted({*evidence.bundles} - {candidate.folder.name}))
    if candidate.folder.name not in evidence.bundles:
        return [
            _unknown(f"no record of the last {days} days is of this bundle, but of {others or 'none'}")
        ]
    if others:
        return [
            _unknown(
                f"the last {days} days hold records of {others} as well: count fewer days, or wait"
            )
        ]
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
