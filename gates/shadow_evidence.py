"""Has this bundle shown in shadow that it is alive and well?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, not_known
from gates.limits import Limits
from plugin.manifest import GateResult, Verdict
from shadow.checklist import checklist, is_ready
from shadow.errors import ShadowgateError
from shadow.evidence import Evidence, weigh
from shadow.window import read_window

_LIMIT = "every line of the checklist of `python -m shadow.report`"
_MIN_BARS = 24
_VERDICTS: dict[bool | None, Verdict] = {True: "pass", False: "fail", None: "not enough evidence"}


def shadow_evidence(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The go-live checklist over what this bundle said, as champion or as challenger."""
    evidence = _evidence(candidate)
    if isinstance(evidence, str):
        return [not_known("shadow_evidence", "live", _LIMIT, evidence)]
    checks = checklist(evidence, _MIN_BARS, limits.shadow)
    open_points = [check.says for check in checks if check.verdict != "pass"]
    well = f"{evidence.hours_in_shadow:g} hours in shadow, all well"
    return [
        GateResult(
            name="shadow_evidence",
            level="live",
            value=evidence.hours_in_shadow,
            limit=_LIMIT,
            verdict=_VERDICTS[is_ready(checks)],
            sentence="; ".join(open_points) or well,
        )
    ]


def _evidence(candidate: Candidate) -> Evidence | str:
    """What the records of this bundle say, or why there are none that count."""
    folder, days, own = candidate.shadow_dir, candidate.shadow_days, candidate.folder.name
    if folder is None:
        return "no shadow records were looked at: let it run in shadow, then check with --shadow-dir"
    if not folder.is_dir():
        return f"no shadow records in {folder}: let the bundle run beside the bot"
    try:
        evidence = weigh(read_window(folder, candidate.now_ms, days, bundle=own))
    except (OSError, ShadowgateError) as error:
        return f"the shadow records in {folder} can not be read: {error}"
    if own not in evidence.bundles:
        return f"no record of the last {days} days is of this bundle"
    return evidence
