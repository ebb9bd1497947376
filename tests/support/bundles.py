"""Changes to a bundle on disk: with the hashes left as they were, or made right again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from plugin.manifest import (
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
    FileEntry,
    Manifest,
    content_hash,
    encode_manifest,
)
from plugin.registry import Registry

AT = "2025-01-01T00:00:00Z"


def bundle_of(models: Path) -> Path:
    """The folder of the champion."""
    pointer = Registry(models).champion()
    assert pointer is not None
    return models / "bundles" / pointer.bundle_id


def file_names(bundle: Path) -> list[str]:
    return sorted(path.name for path in bundle.iterdir())


def flip_byte(path: Path, position: int) -> None:
    """Change the byte at `position` modulo the length of the file."""
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0x55
    path.write_bytes(content)


def read_manifest(bundle: Path) -> Manifest:
    return msgspec.json.decode((bundle / MANIFEST_FILE).read_bytes(), type=Manifest)


def reseal(bundle: Path, **changes: Any) -> None:
    """Make every hash right for the files as they are, as only the one who trains can.

    `changes` are fields of the manifest that get another value.
    """
    manifest = msgspec.structs.replace(read_manifest(bundle), **changes)
    contents = {name: (bundle / name).read_bytes() for name in manifest.files}
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in contents.items()
    }
    manifest = msgspec.structs.replace(manifest, files=entries)
    manifest = msgspec.structs.replace(manifest, content_hash=content_hash(manifest))
    seal_text(bundle, encode_manifest(manifest))


def seal_text(bundle: Path, text: bytes) -> None:
    """Put `text` in the place of the manifest, with the right hash beside it."""
    (bundle / MANIFEST_FILE).write_bytes(text)
    line = f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_FILE}\n"
    (bundle / MANIFEST_HASH_FILE).write_text(line)


def rewrite_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as JSON, beyond what its type allows, and seal it."""
    parts = json.loads((bundle / MANIFEST_FILE).read_bytes())
    change(parts)
    seal_text(bundle, json.dumps(parts).encode())


def appoint(models: Path, bundle: Path, why: str = "to try it") -> None:
    """Make `bundle` the champion; another `why` makes it another appointment."""
    Registry(models).appoint(bundle.name, at=AT, who="a test", why=why)


def add_twin(models: Path) -> Path:
    """A second intact bundle: the champion's files under a later name, and another seed on paper, so
    that it counts as another one. Returns its folder."""
    original = bundle_of(models)
    twin = original.with_name("20990101T000000Z-0123456789ab")
    twin.mkdir()
    for path in original.iterdir():
        (twin / path.name).write_bytes(path.read_bytes())
    settings = {**read_manifest(original).settings, "seed": 1_000}
    reseal(twin, bundle_id=twin.name, settings=settings)
    return twin
