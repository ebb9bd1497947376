"""What does a bundle say of itself?

`manifest.json` is the first file read and the last one written. `content_hash` covers all that training
alone determines, so that two runs on the same bars give the same hash; the time, the revision and the
gate report lie outside it. `manifest.sha256` beside it covers the bytes of the manifest itself.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

FORMAT_VERSION = 4
MANIFEST_FILE = "manifest.json"
MANIFEST_HASH_FILE = "manifest.sha256"
_OUTSIDE_THE_HASH = ("bundle_id", "content_hash", "created", "git_revision", "gate_report")

Level = Literal["none", "shadow", "live"]
Verdict = Literal["pass", "fail", "not enough evidence"]
Kind = Literal["lightgbm", "xgboost", "onnx"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Read strictly: an unknown key means another format, and is refused."""


class GateResult(_Part, frozen=True):
    """One gate's answer. `level` is what a bundle is not fit for unless this gate passes."""

    name: str
    level: Literal["shadow", "live"]
    value: float | str | None
    limit: str
    verdict: Verdict
    sentence: str


class GateReport(_Part, frozen=True):
    """All gates, and what the bundle is fit for: nothing, to be recorded, or to steer.

    `changed_limits` names each limit that is not as by default: {"stack_auc": "0.55 instead of 0.58"}.
    """

    level: Level
    results: tuple[GateResult, ...]
    changed_limits: dict[str, str] = {}

    @property
    def missing(self) -> tuple[str, ...]:
        """The gates that keep the bundle from being fit for live."""
        return tuple(result.name for result in self.results if result.verdict != "pass")


class FileEntry(_Part, frozen=True):
    """One file of the bundle, other than the manifest and its hash."""

    sha256: str
    bytes: int


class MemberFile(_Part, frozen=True):
    """One trained model: a member at one horizon (in bars)."""

    member: str
    kind: Kind
    feature_set: str
    horizon: int
    file: str


class NetworkFiles(_Part, frozen=True):
    """One network over windows of `n_steps` rows: a member at all horizons, in their order."""

    member: str
    feature_set: str
    n_steps: int
    history_file: str
    step_file: str


class RegimeFiles(_Part, frozen=True):
    """The classifier of the volatility of the next `horizon` bars: a model for each of
    `plugin.regime.QUESTIONS`, and `figures`, how good they are out of fold."""

    kind: Kind
    feature_set: str
    horizon: int
    files: tuple[str, str]
    figures: dict[str, Any]


class FeatureSetEntry(_Part, frozen=True):
    """The features that a member was trained on, in order."""

    names: tuple[str, ...]
    schema_hash: str


class SymbolBars(_Part, frozen=True):
    """The bars of one symbol that training saw; `sha256` is taken over their bytes."""

    first_open_ms: int
    n_bars: int
    sha256: str


class Manifest(_Part, frozen=True):
    """Everything needed to predict, and where it came from."""

    format_version: int
    bundle_id: str
    content_hash: str
    created: str
    git_revision: str
    venue: str
    symbols: tuple[str, ...]
    timeframe: str
    horizons: tuple[int, ...]
    primary_horizon: int
    label: str
    companions: dict[str, tuple[str, ...]]
    feature_sets: dict[str, FeatureSetEntry]
    members: tuple[MemberFile, ...]
    meta_file: str
    golden_file: str
    evidence_file: str
    files: dict[str, FileEntry]
    libraries: dict[str, str]
    bars: dict[str, SymbolBars]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    oof_rows: int
    gate_report: GateReport | None
    networks: tuple[NetworkFiles, ...] = ()
    regime: RegimeFiles | None = None

    @property
    def member_names(self) -> tuple[str, ...]:
        """Those that are asked of one row, then the networks."""
        return (*self.row_member_names, *(network.member for network in self.networks))

    @property
    def used_feature_sets(self) -> set[str]:
        of_rows = {model.feature_set for model in self.members}
        of_regime = {self.regime.feature_set} if self.regime else set()
        return of_rows | {network.feature_set for network in self.networks} | of_regime

    @property
    def row_member_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(model.member for model in self.members))

    @property
    def n_earlier_rows(self) -> int:
        """How many rows before the newest the networks look at; 0 where there is no network."""
        return max((network.n_steps - 1 for network in self.networks), default=0)


def content_hash(manifest: Manifest) -> str:
    """The sha256 of what training alone determines."""
    parts = msgspec.to_builtins(manifest)
    for name in _OUTSIDE_THE_HASH:
        del parts[name]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as it stands on disk: indented, for people who look."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"
