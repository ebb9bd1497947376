"""Does the live code say what training said, on the golden bars?"""

from __future__ import annotations

from collections.abc import Sequence

from gates.base import Candidate, answer, at_most, not_known, words
from gates.limits import Limits
from plugin.canary import CanaryReport
from plugin.manifest import GateResult, Kind, Manifest

_NAME = "parity"
_WHAT = "largest difference of what is served from what training said"
_AGAINST: dict[Kind, str] = {
    "lightgbm": "our reader against LightGBM itself",
    "xgboost": "our reader against XGBoost itself",
    "onnx": "onnxruntime against the network before its export",
}


def parity(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """A new process repeats the golden answers: features of the history walk, the libraries' own
    predictions, the meta-model."""
    limit = f"<= {words(limits.parity)}"
    if candidate.manifest is None:
        return [not_known(_NAME, "shadow", limit, f"{_WHAT}: no bundle to ask")]
    report = candidate.canary
    if report.refusal is not None:
        return [answer(_NAME, "shadow", None, limit, "fail", report.refusal)]
    what = f"{_WHAT} ({_where(report, candidate.manifest)})"
    return [at_most(_NAME, "shadow", report.largest_difference, limits.parity, what)]


def _where(report: CanaryReport, manifest: Manifest) -> str:
    source, horizon = report.differs_most, report.differs_at
    where = f"{source} at {horizon} bars" if horizon else f"{source}"
    kinds = [model.kind for model in manifest.members if model.member == source]
    return f"{where}, {_AGAINST[kinds[0]]}" if kinds else where
