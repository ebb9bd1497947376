"""Is this folder an intact bundle, and what is in it?

Every file is opened once, its bytes are hashed, and those bytes are parsed: nothing that lies on disk
can change between the check and the use. The parsers are our own and raise; the golden answers are
repeated in a child process (`plugin.canary`) before a bundle serves.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plugin.errors import BundleRefused, WrongUse
from plugin.features.joined import FEATURE_SETS, columns_of
from plugin.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
    Manifest,
    MemberFile,
    content_hash,
)
from plugin.meta_model import MetaModel
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.trees import Trees
from plugin.predictors.xgboost_json import read_xgboost

_MAX_FILE_BYTES = 256 * 2**20
_READERS = {"lightgbm": read_lightgbm, "xgboost": read_xgboost}


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory. `models[member][horizon]` answers rows laid out as `ROW_NAMES`."""

    manifest: Manifest
    models: Mapping[str, Mapping[int, Trees]]
    meta: MetaModel
    golden: bytes

    @property
    def bundle_id(self) -> str:
        return self.manifest.bundle_id

    @property
    def feature_hash(self) -> str:
        """The schema hashes of all feature sets that its members use, as one."""
        hashes = sorted(entry.schema_hash for entry in self.manifest.feature_sets.values())
        return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def load_bundle(folder: Path) -> Bundle:
    """Verify every byte of the bundle in `folder`, then read it.

    Raises WrongUse where there is no folder, BundleRefused with the file's name for all else.
    """
    manifest, files = verify_bundle(folder)
    try:
        meta = MetaModel.from_json(files[manifest.meta_file], manifest.horizons, manifest.member_names)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BundleRefused(manifest.meta_file, "a meta-model over the members", error) from error
    models: dict[str, dict[int, Trees]] = {name: {} for name in manifest.member_names}
    for model in manifest.members:
        models[model.member][model.horizon] = _read_model(model, files)
    for name, by_horizon in models.items():
        if set(by_horizon) != set(manifest.horizons):
            raise BundleRefused(MANIFEST_FILE, f"{name} at {manifest.horizons}", sorted(by_horizon))
    return Bundle(manifest, models, meta, files[manifest.golden_file])


def verify_bundle(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the bytes of every file it lists, all hashes checked, nothing else parsed.

    Raises as `load_bundle`.
    """
    if not folder.is_dir():
        raise WrongUse("the folder of a bundle", str(folder), "name one below models/bundles")
    manifest = _read_manifest(folder)
    found = {entry.name for entry in os.scandir(folder)}
    expected = {*manifest.files, MANIFEST_FILE, MANIFEST_HASH_FILE}
    for name in sorted(found ^ expected):
        raise BundleRefused(
            name, *(("no such file", "there") if name in found else ("a file", "missing"))
        )
    files = {}
    for name, entry in manifest.files.items():
        content = _read_file(folder, name)
        if hashlib.sha256(content).hexdigest() != entry.sha256 or len(content) != entry.bytes:
            raise BundleRefused(name, f"sha256 {entry.sha256[:12]}…", "other bytes")
        files[name] = content
    _check_sense(manifest)
    return manifest, files


def _read_manifest(folder: Path) -> Manifest:
    text = _read_file(folder, MANIFEST_FILE)
    hash_line = f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_FILE}\n".encode()
    if _read_file(folder, MANIFEST_HASH_FILE) != hash_line:
        raise BundleRefused(MANIFEST_FILE, f"the sha256 that stands in {MANIFEST_HASH_FILE}", "another")
    try:
        version = msgspec.json.decode(text, type=_Versioned).format_version
        if version != FORMAT_VERSION:
            raise BundleRefused(MANIFEST_FILE, f"format version {FORMAT_VERSION}", version)
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleRefused(MANIFEST_FILE, "a manifest of this format", error) from error


class _Versioned(msgspec.Struct):
    format_version: int


def _check_sense(manifest: Manifest) -> None:
    if content_hash(manifest) != manifest.content_hash:
        raise BundleRefused(MANIFEST_FILE, f"content hash {manifest.content_hash[:12]}…", "another")
    for name, entry in manifest.feature_sets.items():
        ours = FEATURE_SETS.get(name)
        if ours is None or (ours.names, ours.schema_hash) != (entry.names, entry.schema_hash):
            known = ours.schema_hash[:12] if ours else "none of that name"
            was = f"{entry.schema_hash[:12]}: train again with this release"
            raise BundleRefused(MANIFEST_FILE, f"feature set {name} of schema {known}", was)
    used = {model.file for model in manifest.members} | {manifest.meta_file, manifest.golden_file}
    if used != set(manifest.files) or manifest.primary_horizon not in manifest.horizons:
        raise BundleRefused(MANIFEST_FILE, "every file used and a known primary horizon", "others")


def _read_file(folder: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise BundleRefused(name, "a plain file name", "a path")
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BundleRefused(name, "a readable regular file", error.strerror) from error
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise BundleRefused(name, "a regular file with one name", "a link or a special file")
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise BundleRefused(name, f"at most {_MAX_FILE_BYTES} bytes", "more")
    return content


def _read_model(model: MemberFile, files: Mapping[str, bytes]) -> Trees:
    names = FEATURE_SETS[model.feature_set].names
    columns = columns_of(model.feature_set)
    return _READERS[model.kind](model.file, files[model.file], names, columns)
