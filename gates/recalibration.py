"""How is the champion to be read, after what came of what it has said, and may that act?

Learnt from the shadow log once in 24 bars, kept beside the bundles, and told in a history of its own.
docs/recalibration.md has the rules as a table.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import msgspec

from plugin.bar import Timeframe
from plugin.bundle import verify_bundle
from plugin.durable import locked, replace_file
from plugin.errors import WrongUse
from plugin.history import append_move
from plugin.manifest import Manifest
from plugin.registry import Pointer, Registry
from shadow.files import utc_text
from shadow.realised import Realised, RealisedLog
from shadow.recalibration import (
    AS_IT_SAYS,
    FOLDER,
    Horizon,
    Kind,
    Recalibration,
    read_recalibration,
    recalibration_file,
)
from shadow.recalibration_fit import fit, pair_of

EVERY_BARS = 24
"""One update, and so one step, in so many bars at most."""
VALID_BARS = 168
"""Bars after which nothing is read any more by an update that no other one has followed."""
HISTORY = "history.jsonl"


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force now, None where nothing is; `written` where this look has changed it."""

    recalibration: Recalibration | None
    written: bool
    why: str


class By(NamedTuple):
    """When, by the clock of the records, and by whom."""

    now_ms: int
    who: str


def update(
    registry: Registry, shadow_dir: Path, level: float, by: By, *, dry_run: bool = False
) -> Looked:
    """Learn from what is known by now, if that is due; a `dry_run` only says what would be.

    `level` is the e-value at which p' is known to be better than p, or worse. Raises WrongUse or
    BundleRefused where the champion is not intact, RecalibrationRefused where what was learnt before
    can not be read; OSError and LogUnusable where the records can not.
    """
    champion = registry.champion()
    if champion is None:
        return Looked(recalibration=None, written=False, why="nobody serves")
    with locked(registry.folder / FOLDER):
        before = read_recalibration(registry.folder, str(champion.bundle_id))
        if before is not None and by.now_ms < before.next_ms:
            why = f"{before.why}; not learnt again before {utc_text(before.next_ms)}"
            return Looked(recalibration=before, written=False, why=why)
        after = _learnt(_manifest(registry, champion), shadow_dir, before, level, by)
        if not dry_run:
            _store(registry, after)
    return Looked(recalibration=after, written=not dry_run, why=after.why)


def reset(registry: Registry, by: By, *, dry_run: bool = False) -> Looked:
    """The champion is read as it says, and only bars that open from now on will count.

    Raises WrongUse where nobody serves, BundleRefused where the champion is not intact.
    """
    champion = registry.champion()
    if champion is None:
        raise WrongUse(
            "a champion whose recalibration begins anew", "none", "train one, or install one"
        )
    manifest = _manifest(registry, champion)
    after = _made(manifest, by, kind="reset", since_ms=by.now_ms, why="by hand", horizons={})
    with locked(registry.folder / FOLDER):
        if not dry_run:
            _store(registry, after)
    return Looked(recalibration=after, written=not dry_run, why=after.why)


def _manifest(registry: Registry, champion: Pointer) -> Manifest:
    return verify_bundle(registry.bundle_folder(champion))[0]


def _learnt(
    manifest: Manifest, shadow_dir: Path, before: Recalibration | None, level: float, by: By
) -> Recalibration:
    since_ms = before.since_ms if before else 0
    log = RealisedLog(shadow_dir, manifest.bundle_id, since_ms, by.now_ms)
    horizons, worse = {}, []
    for name in map(str, manifest.horizons):
        known, rows = before.horizons.get(name) if before else None, log.of(name)
        horizons[name] = _horizon(rows, known, level, by.now_ms, is_whole=not log.n_damaged)
        if _is_worse(rows, known, level):
            worse.append(name)
    if worse:
        why = f"p' is shown to be worse than p at horizon {', '.join(worse)}: it begins anew"
        return _made(manifest, by, kind="taken back", since_ms=by.now_ms, why=why, horizons={})
    why = _why(log.n_damaged, horizons)
    return _made(manifest, by, kind="updated", since_ms=since_ms, why=why, horizons=horizons)


def _horizon(
    rows: Realised, before: Horizon | None, level: float, now_ms: int, *, is_whole: bool
) -> Horizon:
    last = before.fit.coefficients if before else None
    learnt = fit(rows.p, rows.up, rows.bar_number, rows.overlap_bars, last or AS_IT_SAYS)
    pair = pair_of(rows, level)
    # Lines are not lost at random: a damaged log is no evidence.
    holds = is_whole and learnt.coefficients is not None and pair.better >= level
    since_ms = before.holds_since_ms if before else None
    return Horizon(
        fit=learnt,
        n_judged=pair.n_bars,
        mean_difference=_or_none(pair.mean_difference),
        better=_or_none(pair.better),
        holds_since_ms=(now_ms if since_ms is None else since_ms) if holds else None,
    )


def _is_worse(rows: Realised, before: Horizon | None, level: float) -> bool:
    """On all bars, or on those since p' may act: good bars before them would keep that from showing."""
    since_ms = before.holds_since_ms if before else None
    watched = [rows] if since_ms is None else [rows, rows.where(rows.open_time_ms >= since_ms)]
    return any(pair_of(one, level).worse >= level for one in watched)


def _why(n_damaged: int, horizons: dict[str, Horizon]) -> str:
    if n_damaged:
        return f"{n_damaged} faults in the log, which is no evidence: p' is recorded only"
    holding = [name for name, one in horizons.items() if one.holds]
    if holding:
        return f"p' is shown to be better than p at horizon {', '.join(holding)}"
    return "p' is not shown to be better than p: it is recorded only"


def _made(
    manifest: Manifest, by: By, *, kind: Kind, since_ms: int, why: str, horizons: dict[str, Horizon]
) -> Recalibration:
    length_ms = Timeframe.parse(manifest.timeframe).length_ms
    return Recalibration(
        kind=kind,
        bundle_id=manifest.bundle_id,
        since_ms=since_ms,
        until_ms=by.now_ms,
        next_ms=by.now_ms + EVERY_BARS * length_ms,
        valid_until_ms=by.now_ms + VALID_BARS * length_ms,
        at=utc_text(by.now_ms),
        who=by.who,
        why=why,
        horizons=horizons,
    )


def _store(registry: Registry, after: Recalibration) -> None:
    place = recalibration_file(registry.folder, after.bundle_id)
    append_move(place.with_name(HISTORY), msgspec.json.encode(after))
    replace_file(place, msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
