"""Candidates for gates: rows and figures that pass every gate, to be spoilt one by one."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gates.base import Candidate, Gate, Incumbent
from gates.limits import LIMITS, Limits
from gates.out_of_fold import STACK, OutOfFoldRows
from plugin.candles import N_ROWS
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import N_COMPANIONS
from plugin.golden import Golden
from plugin.manifest import FORMAT_VERSION, GateResult, Manifest, MemberFile, SymbolBars
from tests.support.bundles import read_manifest, reseal
from tests.support.records import HOUR_MS, START_MS

SYMBOLS = ("BTC/USDT", "ETH/USDT")
MEMBERS = ("lgb", "xgb", "cross")
HORIZONS = (5, 12)
N_BARS = 10_400
N_BLOCKS = 4
_FIGURES: dict[str, Any] = {
    "symbols": {name: {"reversal": {"auc": 0.53, "brier": None}} for name in SYMBOLS},
    "seen_auc": dict.fromkeys(MEMBERS, 0.7),
}


def good_figures() -> dict[str, Any]:
    """Training figures at one horizon as they stand in a manifest; to be changed at will."""
    return copy.deepcopy(_FIGURES)


@cache
def good_rows(horizons: tuple[int, ...] = HORIZONS, seed: int = 5) -> OutOfFoldRows:
    """Rows of a year and two months, in four blocks, of an ensemble with some skill."""
    random = np.random.default_rng(seed)
    n = N_BARS * len(SYMBOLS)
    log_odds = random.normal(0.0, 0.45, (n, len(horizons)))
    members = log_odds[..., None] + random.normal(0.0, 0.25, (n, len(horizons), len(MEMBERS)))
    stacked = log_odds + random.normal(0.0, 0.1, log_odds.shape)
    said = 1.0 / (1.0 + np.exp(-np.concatenate([members, stacked[..., None]], axis=2)))
    fold = np.repeat(np.arange(N_BLOCKS), n // N_BLOCKS)
    said[fold == 0, :, -1] = np.nan
    up = random.random(log_odds.shape) < 1.0 / (1.0 + np.exp(-log_odds))
    return OutOfFoldRows(
        symbols=np.array(SYMBOLS),
        sources=np.array([*MEMBERS, STACK]),
        horizons=np.array(horizons),
        symbol=np.tile(np.arange(len(SYMBOLS)), N_BARS).astype(np.int16),
        known_from_ms=START_MS - HOUR_MS * np.repeat(np.arange(N_BARS, 0, -1), len(SYMBOLS)),
        fold=fold.astype(np.int16),
        up=up.astype(np.float32),
        probability=said.astype(np.float32),
    )


def with_answers(source: str, said: NDArray[Any], horizon: int = 5) -> OutOfFoldRows:
    """Good rows in which `source` says something else at one horizon."""
    rows = good_rows()
    probability = rows.probability.copy()
    number = rows.sources.tolist().index(source)
    probability[:, rows.horizons.tolist().index(horizon), number] = said
    return replace(rows, probability=probability)


def answers_of(source: str, horizon: int = 5) -> NDArray[np.float64]:
    """What `source` says in good rows."""
    rows = good_rows()
    number = rows.sources.tolist().index(source)
    return rows.probability[:, rows.horizons.tolist().index(horizon), number].astype(np.float64)


@cache
def good_golden(n_members: int = len(MEMBERS), n_horizons: int = len(HORIZONS)) -> Golden:
    """Eight cases with answers that differ; the bars are not looked at by gates."""
    random = np.random.default_rng(3)
    return Golden(
        bars=np.zeros((8, 1 + N_COMPANIONS, N_ROWS, LOOKBACK_BARS)),
        open_time_ms=np.arange(8, dtype=np.int64),
        rows=np.zeros((8, 1), dtype=np.float32),
        members=random.uniform(0.4, 0.6, (8, n_members, n_horizons)),
        stacked=random.uniform(0.4, 0.6, (8, n_horizons)),
        regime=np.empty((8, 0)),
    )


def candidate(
    figures: Any = _FIGURES,
    folder: Path = Path("any"),
    rows: OutOfFoldRows | bytes | None = None,
    golden: Golden | bytes | None = None,
    **more: Any,
) -> Candidate:
    """A candidate with these figures at the primary horizon, these out-of-fold rows and golden answers.

    `more` are fields of the manifest or of the candidate.
    """
    evidence = _good_rows_encoded() if rows is None else rows
    answers = _good_golden_encoded() if golden is None else golden
    manifest = _manifest(figures, folder, evidence)
    of_manifest = {name: more.pop(name) for name in set(more) & set(Manifest.__struct_fields__)}
    settled: dict[str, Any] = {
        "folder": folder,
        "manifest": msgspec.structs.replace(manifest, **of_manifest),
        "refusal": None,
        "contents": {
            "out_of_fold.npz": evidence.encode() if isinstance(evidence, OutOfFoldRows) else evidence,
            "golden.npz": answers.encode() if isinstance(answers, Golden) else answers,
        },
        "shadow_dir": None,
        "shadow_days": 14,
        "now_ms": START_MS,
    }
    return Candidate(**{**settled, **more})


def champion(rows: OutOfFoldRows | bytes | None = None, **more: Any) -> Incumbent:
    """A champion with these out-of-fold rows."""
    one = candidate(rows=rows, **more)
    return Incumbent(one.folder, one.manifest, one.refusal, one.contents)


def damaged_candidate(folder: Path = Path("any")) -> Candidate:
    """A candidate that is not intact."""
    refusal = "lgb_h5.txt: expected a file, was missing"
    return candidate(folder=folder, manifest=None, refusal=refusal, contents={})


def make_fit_for_live(bundle: Path) -> None:
    """Give a bundle on disk rows and figures that pass every gate but that of the shadow evidence."""
    rows = good_rows((5, 12, 24))
    (bundle / "out_of_fold.npz").write_bytes(rows.encode())
    metrics = {str(horizon): good_figures() for horizon in rows.horizons.tolist()}
    known_more = {"over_now": {name: {"low": 0.01} for name in SYMBOLS}}
    classifier = read_manifest(bundle).regime
    assert classifier is not None
    reseal(
        bundle,
        metrics=metrics,
        regime=msgspec.structs.replace(classifier, figures=known_more),
        venue="binance_spot",
        oof_rows=rows.known_from_ms.size,
    )


@cache
def _good_rows_encoded() -> bytes:
    return good_rows().encode()


@cache
def _good_golden_encoded() -> bytes:
    return good_golden().encode()


def _manifest(figures: Any, folder: Path, rows: OutOfFoldRows | bytes) -> Manifest:
    known = rows if isinstance(rows, OutOfFoldRows) else good_rows()
    symbols: tuple[str, ...] = tuple(known.symbols.tolist())
    horizons: tuple[int, ...] = tuple(known.horizons.tolist())
    members = known.sources[:-1].tolist()
    return Manifest(
        format_version=FORMAT_VERSION,
        bundle_id=folder.name,
        content_hash="",
        created="2025-01-01T00:00:00Z",
        git_revision="",
        venue="binance_spot",
        symbols=symbols,
        timeframe="1h",
        horizons=horizons,
        primary_horizon=horizons[0],
        label="up",
        companions=dict.fromkeys(symbols, ("XRP/USDT",)),
        feature_sets={},
        members=tuple(
            MemberFile(
                member=name,
                kind="xgboost" if name == "xgb" else "lightgbm",
                feature_set="base",
                horizon=horizon,
                file=f"{name}_h{horizon}",
            )
            for horizon in horizons
            for name in members
        ),
        meta_file="meta.json",
        golden_file="golden.npz",
        evidence_file="out_of_fold.npz",
        files={},
        libraries={"lightgbm": "4.6.0", "xgboost": "3.1.0"},
        bars={
            name: SymbolBars(first_open_ms=0, n_bars=10_000, sha256="0a" * 32)
            for name in (*symbols, "XRP/USDT")
        },
        settings={"seed": 7},
        metrics={str(horizon): good_figures() for horizon in horizons} | {str(horizons[0]): figures},
        oof_rows=int((~np.isnan(known.up[:, 0])).sum()),
        gate_report=None,
    )


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
