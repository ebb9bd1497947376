"""Is this folder an intact bundle, and what is in it?

Every file is opened once, its bytes are hashed, and those bytes are parsed: nothing that lies on disk
can change between the check and the use. The parsers are our own and raise; the golden answers are
repeated in a child process (`plugin.canary`) before a bundle serves.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.errors import NOT_JSON, BundleRefused, WrongUse
from plugin.features.joined import FEATURE_SETS, N_COMPANIONS, columns_of
from plugin.looking_back import n_columns
from plugin.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
    Kind,
    Manifest,
    NetworkFiles,
    content_hash,
)
from plugin.meta_model import MetaModel
from plugin.predictors.base import Predictor
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.onnxrt import read_onnx
from plugin.predictors.windowed import WindowedNetwork, read_windowed
from plugin.predictors.xgboost_json import read_xgboost
from plugin.regime import RegimeClassifier

_MAX_FILE_BYTES = 256 * 2**20
_Reader = Callable[[str, bytes, Sequence[str], NDArray[np.int64]], Predictor]
_READERS: Mapping[str, _Reader] = {
    "lightgbm": read_lightgbm,
    "xgboost": read_xgboost,
    "onnx": read_onnx,
}


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory. `models[member][horizon]` answers rows of the first `n_columns` columns of
    `ROW_NAMES`, `networks` windows of them at all horizons. `regime` is None in a bundle without a
    classifier."""

    manifest: Manifest
    models: Mapping[str, Mapping[int, Predictor]]
    networks: Mapping[str, WindowedNetwork]
    meta: MetaModel
    golden: bytes
    regime: RegimeClassifier | None = None

    @property
    def bundle_id(self) -> str:
        return self.manifest.bundle_id

    @cached_property
    def n_columns(self) -> int:
        return n_columns(self.manifest)

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
        meta = MetaModel.from_json(
            files[manifest.meta_file],
            manifest.horizons,
            manifest.row_member_names,
            [network.member for network in manifest.networks],
        )
    except (ValueError, RecursionError) as error:
        raise BundleRefused(manifest.meta_file, "a meta-model over the members", error) from error
    models: dict[str, dict[int, Predictor]] = {name: {} for name in manifest.row_member_names}
    for model in manifest.members:
        read = _read_model(model.kind, model.feature_set, model.file, files)
        models[model.member][model.horizon] = read
    networks = {
        network.member: _read_network(network, len(manifest.horizons), files)
        for network in manifest.networks
    }
    regime = _read_regime(manifest, files)
    return Bundle(manifest, models, networks, meta, files[manifest.golden_file], regime)


def verify_bundle(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the bytes of every file it lists, all hashes checked, nothing else parsed.

    Raises as `load_bundle`.
    """
    found = _names_in(folder)
    manifest = _read_manifest(folder)
    expected = {*manifest.files, MANIFEST_FILE, MANIFEST_HASH_FILE}
    for name in sorted(expected - found):
        raise BundleRefused(name, "a file of the bundle", "missing")
    for name in sorted(found - expected):
        raise BundleRefused(name, "only files that the manifest lists", "one more")
    files = {}
    for name, entry in manifest.files.items():
        content = _read_file(folder, name)
        if hashlib.sha256(content).hexdigest() != entry.sha256 or len(content) != entry.bytes:
            raise BundleRefused(name, f"sha256 {entry.sha256[:12]}…", "other bytes")
        files[name] = content
    if manifest.bundle_id != (name := folder.resolve().name):
        raise BundleRefused(MANIFEST_FILE, f"bundle {name}, as its folder", manifest.bundle_id)
    if content_hash(manifest) != manifest.content_hash:
        raise BundleRefused(MANIFEST_FILE, f"content hash {manifest.content_hash[:12]}…", "another")
    _check_features(manifest)
    _check_members(manifest)
    return manifest, files


def _names_in(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError) as error:
        remedy = "name one below models/bundles"
        raise WrongUse("the folder of a bundle", str(folder), remedy) from error
    except OSError as error:
        raise BundleRefused(folder.name, "a folder that can be read", error.strerror) from error


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
    except NOT_JSON as error:
        raise BundleRefused(MANIFEST_FILE, "a manifest of this format", error) from error


class _Versioned(msgspec.Struct):
    format_version: int


def _check_features(manifest: Manifest) -> None:
    for name, entry in manifest.feature_sets.items():
        ours = FEATURE_SETS.get(name)
        if ours is None or (ours.names, ours.schema_hash) != (entry.names, entry.schema_hash):
            known = ours.schema_hash[:12] if ours else "none of that name"
            was = f"{entry.schema_hash[:12]}: train again with this release"
            raise BundleRefused(MANIFEST_FILE, f"feature set {name} of schema {known}", was)
    if manifest.used_feature_sets != set(manifest.feature_sets):
        raise BundleRefused(MANIFEST_FILE, "the feature sets of its members", "others")
    companions = manifest.companions
    if set(companions) != set(manifest.symbols) or {*map(len, companions.values())} != {N_COMPANIONS}:
        raise BundleRefused(MANIFEST_FILE, f"{N_COMPANIONS} companions of every symbol", companions)


def _check_members(manifest: Manifest) -> None:
    models = [(model.member, model.horizon) for model in manifest.members]
    names, horizons = manifest.row_member_names, manifest.horizons
    expected = [(name, horizon) for name in names for horizon in horizons]
    if not models or len(set(models)) != len(models) or set(models) != set(expected):
        raise BundleRefused(MANIFEST_FILE, f"each member once at {horizons}", models)
    if len(set(manifest.member_names)) != len(manifest.member_names):
        raise BundleRefused(MANIFEST_FILE, "each member under a name of its own", manifest.member_names)
    others = [manifest.meta_file, manifest.golden_file, manifest.evidence_file]
    graphs = [file for one in manifest.networks for file in (one.history_file, one.step_file)]
    of_regime = manifest.regime.files if manifest.regime else ()
    used = [*(model.file for model in manifest.members), *graphs, *of_regime, *others]
    if sorted(used) != sorted(manifest.files):
        raise BundleRefused(MANIFEST_FILE, "every file used once", sorted(used))
    if manifest.primary_horizon not in horizons:
        raise BundleRefused(MANIFEST_FILE, f"a primary horizon of {horizons}", manifest.primary_horizon)


def _read_file(folder: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise BundleRefused(name, "a plain file name", "a path")
    try:
        with open(folder / name, "rb", opener=_open_carefully) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise BundleRefused(name, "a regular file with one name", "a link or a special file")
            if status.st_size > _MAX_FILE_BYTES:
                raise BundleRefused(name, f"at most {_MAX_FILE_BYTES} bytes", status.st_size)
            return file.read(status.st_size)
    except OSError as error:
        raise BundleRefused(name, "a readable regular file", error.strerror) from error


def _open_carefully(path: str, flags: int) -> int:
    # Not blocking: a FIFO in the place of a file would be waited for, perhaps for ever.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read_model(kind: Kind, feature_set: str, file: str, files: Mapping[str, bytes]) -> Predictor:
    names, columns = FEATURE_SETS[feature_set].names, columns_of(feature_set)
    return _READERS[kind](file, files[file], names, columns)


def _read_regime(manifest: Manifest, files: Mapping[str, bytes]) -> RegimeClassifier | None:
    regime = manifest.regime
    if regime is None:
        return None
    mid_or_high, high = (
        _read_model(regime.kind, regime.feature_set, file, files) for file in regime.files
    )
    return RegimeClassifier((mid_or_high, high))


def _read_network(
    network: NetworkFiles, n_horizons: int, files: Mapping[str, bytes]
) -> WindowedNetwork:
    names = network.history_file, network.step_file
    return read_windowed(
        names,
        (files[names[0]], files[names[1]]),
        FEATURE_SETS[network.feature_set].names,
        columns_of(network.feature_set),
        network.n_steps,
        n_horizons,
    )
