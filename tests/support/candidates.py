"""Candidates for gates: a manifest with figures that pass every gate, to be spoilt one by one."""

import copy
from pathlib import Path
from typing import Any

import msgspec

from gates.base import Candidate, Gate
from gates.limits import LIMITS, Limits
from plugin.manifest import FORMAT_VERSION, GateResult, Manifest
from tests.support.records import START_MS

SYMBOLS = ("BTC/USDT", "ETH/USDT")
_SOURCE = {"auc": 0.60, "auc_low": 0.56, "brier": 0.24, "share_within_0.3_0.7": 0.9}
_FIGURES: dict[str, Any] = {
    "oof_rows": 30_000,
    "symbols": {name: {"stack": _SOURCE, "reversal": {"auc": 0.53, "brier": None}} for name in SYMBOLS},
    "folds": [{"auc": {"stack": auc, "lgb": 0.57}} for auc in (None, 0.55, 0.61, 0.59)],
    "mean_fold_auc": {"lgb": 0.57, "xgb": 0.56, "cross": 0.56, "stack": 0.58, "reversal": None},
}


def good_figures() -> dict[str, Any]:
    """Training figures at one horizon as they stand in a manifest; to be changed at will."""
    return copy.deepcopy(_FIGURES)


def candidate(figures: Any = _FIGURES, folder: Path = Path("any"), **more: Any) -> Candidate:
    """A candidate whose manifest holds `figures` at the primary horizon."""
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        bundle_id=folder.name,
        content_hash="",
        created="",
        git_revision="",
        venue="binance_spot",
        symbols=SYMBOLS,
        timeframe="1h",
        horizons=(5, 12),
        primary_horizon=5,
        label="",
        companions={},
        feature_sets={},
        members=(),
        meta_file="meta.json",
        golden_file="golden.npz",
        files={},
        libraries={},
        bars={},
        settings={},
        metrics={"5": figures, "12": {}},
        oof_rows=30_000,
        gate_report=None,
    )
    settled = Candidate(folder, manifest, None, shadow_dir=None, shadow_days=14, now_ms=START_MS)
    return Candidate(**{**vars(settled), **more})


def damaged_candidate(folder: Path = Path("any")) -> Candidate:
    """A candidate that is not intact."""
    return candidate(folder=folder, manifest=None, refusal="lgb_h5.txt: expected a file, was missing")


def results(gate: Gate, of: Candidate, limits: Limits = LIMITS) -> dict[str, GateResult]:
    """What one gate says, by the name of the result."""
    said = gate(of, limits)
    by_name = {result.name: result for result in said}
    assert len(by_name) == len(said)
    return by_name


def verdicts(gate: Gate, of: Candidate, limits: Limits = LIMITS) -> dict[str, str]:
    return {name: result.verdict for name, result in results(gate, of, limits).items()}


def put(figures: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The figures with `value` at `path`; with msgspec.UNSET, without what stands there."""
    *parents, last = path
    place: Any = figures
    for key in parents:
        place = place[key]
    if value is msgspec.UNSET:
        del place[last]
    else:
        place[last] = value
    return figures
