"""How does what was trained become a bundle on disk?

A bundle is drafted in `models/drafts`, judged there, and then moved to its name with its gate report in
the manifest. Whatever is left in `models/drafts` by a killed run was never loadable and is swept away.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from plugin.durable import sync_folder, write_file
from plugin.features.joined import FEATURE_SETS
from plugin.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
    FeatureSetEntry,
    FileEntry,
    GateReport,
    Manifest,
    MemberFile,
    NetworkFiles,
    RegimeFiles,
    SymbolBars,
    content_hash,
    encode_manifest,
)
from plugin.meta_model import MetaModel
from training.golden import golden_cases
from training.regime import CLASSIFIERS, HORIZON_BARS, LearntRegime
from training.settings import companions_of, library_versions
from training.trained import Trained

_META_FILE = "meta.json"
_GOLDEN_FILE = "golden.npz"
_EVIDENCE_FILE = "out_of_fold.npz"
_SUFFIX = {"lightgbm": ".txt", "xgboost": ".json", "onnx": ".onnx"}


def draft_bundle(models_folder: Path, trained: Trained, created: str) -> Path:
    """Write all files of the bundle but its gate report; returns the folder of the draft."""
    files, member_files = _model_files(trained)
    graphs, networks = trained.networks.files() if trained.networks else ({}, ())
    files |= graphs
    regime_files, regime = _regime_files(trained.regime)
    files |= regime_files
    meta = MetaModel(
        trained.member_names,
        *(
            {str(horizon): model for horizon, model in one.items()}
            for one in (trained.meta, trained.meta_without_networks)
        ),
    )
    files[_META_FILE] = msgspec.json.format(msgspec.json.encode(meta), indent=1)
    files[_GOLDEN_FILE] = golden_cases(trained).encode()
    files[_EVIDENCE_FILE] = trained.evidence.encode()
    manifest = _manifest(trained, files, member_files, networks, regime, created)

    drafts = models_folder / "drafts"
    shutil.rmtree(drafts, ignore_errors=True)
    drafts.mkdir(parents=True, mode=0o700)
    draft = drafts / manifest.bundle_id
    draft.mkdir(mode=0o700)
    for name, content in files.items():
        write_file(draft / name, content)
    _write_manifest(draft, manifest)
    return draft


def publish_bundle(models_folder: Path, draft: Path, report: GateReport) -> Path:
    """Put the gate report into the manifest and move the draft to its place among the bundles."""
    manifest = msgspec.json.decode((draft / MANIFEST_FILE).read_bytes(), type=Manifest)
    _write_manifest(draft, msgspec.structs.replace(manifest, gate_report=report))
    bundles = models_folder / "bundles"
    bundles.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = bundles / draft.name
    draft.rename(place)
    sync_folder(bundles)
    return place


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = encode_manifest(manifest)
    write_file(folder / MANIFEST_FILE, text)
    hash_line = f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_FILE}\n"
    write_file(folder / MANIFEST_HASH_FILE, hash_line.encode())
    sync_folder(folder)


def _model_files(trained: Trained) -> tuple[dict[str, bytes], list[MemberFile]]:
    files: dict[str, bytes] = {}
    entries = []
    for horizon, models in trained.models.items():
        for member in trained.members:
            name = f"{member.name}_h{horizon}{_SUFFIX[member.kind]}"
            files[name] = models[member.name].content()
            entries.append(
                MemberFile(
                    member=member.name,
                    kind=member.kind,
                    feature_set=member.feature_set,
                    horizon=horizon,
                    file=name,
                )
            )
    return files, entries


def _regime_files(regime: LearntRegime | None) -> tuple[dict[str, bytes], RegimeFiles | None]:
    if regime is None:
        return {}, None
    names = [f"{member.name}{_SUFFIX[member.kind]}" for member in CLASSIFIERS]
    files = {name: model.content() for name, model in zip(names, regime.models, strict=True)}
    mid_or_high, high = names
    entry = RegimeFiles(
        kind=CLASSIFIERS[0].kind,
        feature_set=CLASSIFIERS[0].feature_set,
        horizon=HORIZON_BARS,
        files=(mid_or_high, high),
        figures=regime.figures,
    )
    return files, entry


def _manifest(
    trained: Trained,
    files: Mapping[str, bytes],
    members: Sequence[MemberFile],
    networks: Sequence[NetworkFiles],
    regime: RegimeFiles | None,
    created: str,
) -> Manifest:
    settings = trained.settings
    of_regime = {regime.feature_set} if regime else set()
    used = {one.feature_set for one in members} | {one.feature_set for one in networks} | of_regime
    sets = {name: FEATURE_SETS[name] for name in sorted(used)}
    draft = Manifest(
        format_version=FORMAT_VERSION,
        bundle_id="",
        content_hash="",
        created=created,
        git_revision=_git_revision(),
        venue=settings.venue,
        symbols=settings.symbols,
        timeframe=settings.timeframe,
        horizons=settings.horizons,
        primary_horizon=settings.primary_horizon,
        label="up: the close h bars later is above the close of the bar",
        companions={symbol: companions_of(symbol) for symbol in settings.symbols},
        feature_sets={
            name: FeatureSetEntry(names=own.names, schema_hash=own.schema_hash)
            for name, own in sets.items()
        },
        members=tuple(members),
        networks=tuple(networks),
        regime=regime,
        meta_file=_META_FILE,
        golden_file=_GOLDEN_FILE,
        evidence_file=_EVIDENCE_FILE,
        files={
            name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for name, content in files.items()
        },
        libraries=_libraries(trained),
        bars={
            symbol: SymbolBars(
                first_open_ms=candles.first_open_ms,
                n_bars=candles.n_bars,
                sha256=hashlib.sha256(candles.bars.tobytes()).hexdigest(),
            )
            for symbol, candles in sorted(trained.candles.items())
        },
        settings=msgspec.to_builtins(settings),
        metrics=trained.metrics,
        oof_rows=trained.oof_rows,
        gate_report=None,
    )
    digest = content_hash(draft)
    stamp = created.replace("-", "").replace(":", "")
    return msgspec.structs.replace(draft, content_hash=digest, bundle_id=f"{stamp}-{digest[:12]}")


def _libraries(trained: Trained) -> dict[str, str]:
    """The versions of what the members and the meta-model were made with, and are read by."""
    by_torch = ["torch", "onnx"] if trained.networks else []
    is_onnx = by_torch or any(member.kind == "onnx" for member in trained.members)
    names = [*by_torch, *(["onnxruntime"] if is_onnx else [])]
    return library_versions() | {name: version(name) for name in names}


def _git_revision() -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607  (any git)
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
