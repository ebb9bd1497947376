"""How does a packed bundle come to lie among the bundles of this host: whole and tried, or not at all?

Form, then signature, then hashes, then the golden answers on this host; only then is it moved to its
place. Until that move nothing loads it, and what a killed run leaves in `models/drafts` is swept away
by the next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gates.promotion import Standing, enter
from plugin.bundle import verify_bundle
from plugin.canary import check_in_child
from plugin.durable import locked, sync_folder, write_file
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import MANIFEST_FILE, GateReport
from plugin.registry import Registry
from training.packing import Packed, gather, read_packed
from training.signing import require_signature

Signature = Literal["confirmed", "not looked at", "none"]


@dataclass(frozen=True)
class Installed:
    """What an installation led to. `became` is None where the bundle was only tried, or had its role
    before."""

    bundle_id: str
    signature: Signature
    was_there: bool
    became: Standing | None


def install(
    packed_file: Path,
    models_dir: Path,
    public_key: Path | None,
    *,
    at: str,
    who: str,
    dry_run: bool = False,
) -> Installed:
    """Check the packed bundle; unless it is a `dry_run`, give it its place and let it enter.

    Raises BundleRefused for a bundle that must not come in, WrongUse for a file, folder or key that a
    person has to correct.
    """
    packed = read_packed(packed_file)
    signature = _check_signature(packed, public_key)
    with suppress(OSError):  # told of by `locked`, which makes the folder, too, but for all to see
        models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    registry = Registry(models_dir)
    with locked(models_dir):  # a draft that another run is making must not be swept away
        was_there = _is_there(registry, packed)
        if not was_there:
            with _drafted(models_dir, packed) as draft:
                _try(draft)
                if not dry_run:
                    _move(draft, registry)
        enters = not dry_run and not (was_there and _has_had_a_role(registry, packed.bundle_id))
        became = _enter(registry, packed.bundle_id, at, who) if enters else None
    return Installed(packed.bundle_id, signature, was_there, became)


def _check_signature(packed: Packed, public_key: Path | None) -> Signature:
    if public_key is None:
        return "none" if packed.signature is None else "not looked at"
    manifest = packed.files.get(MANIFEST_FILE, b"")
    require_signature(manifest, packed.signature, public_key)
    return "confirmed"


def _is_there(registry: Registry, packed: Packed) -> bool:
    place = registry.bundles / packed.bundle_id
    if not place.exists():
        return False
    try:
        same = gather(place).files == packed.files
    except BundleRefused:
        same = False
    if not same:
        raise BundleRefused(str(place), "the bytes of the packed bundle", "others, under its name")
    return True


@contextmanager
def _drafted(models_dir: Path, packed: Packed) -> Iterator[Path]:
    """The bundle in a folder that nothing loads; what of it is still there at the end is removed."""
    drafts = models_dir / "drafts"
    draft = drafts / packed.bundle_id
    shutil.rmtree(drafts, ignore_errors=True)
    try:
        try:
            drafts.mkdir(mode=0o700)
            draft.mkdir(mode=0o700)
            for name, content in packed.files.items():
                write_file(draft / name, content)
            sync_folder(draft)
        except OSError as error:
            remedy = "make room, or correct its permissions"
            raise WrongUse(f"to write into {drafts}", error.strerror or str(error), remedy) from error
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _try(draft: Path) -> None:
    verify_bundle(draft)
    canary = check_in_child(draft)
    if canary.refusal is not None:
        raise BundleRefused(draft.name, "a bundle that repeats its golden answers", canary.refusal)


def _move(draft: Path, registry: Registry) -> None:
    registry.bundles.mkdir(exist_ok=True, mode=0o700)
    draft.rename(registry.bundles / draft.name)
    sync_folder(registry.bundles)
    sync_folder(registry.folder)


def _has_had_a_role(registry: Registry, bundle_id: str) -> bool:
    moves = registry.history()
    newest = {move.role: move for move in moves}
    held = (registry.champion(), registry.challenger())
    # The newest move is told in the history before it is made, and may have been cut off in between.
    return any(
        move.bundle_id == bundle_id and (move in held or move != newest[move.role]) for move in moves
    )


def _enter(registry: Registry, bundle_id: str, at: str, who: str) -> Standing:
    manifest, _ = verify_bundle(registry.bundles / bundle_id)
    report = manifest.gate_report or GateReport(level="none", results=())
    return enter(registry, bundle_id, report, at=at, who=who)
