"""What a bundle says of itself depends on what it learnt from, and on nothing else."""

from pathlib import Path

import msgspec
import pytest

from plugin.manifest import (
    FileEntry,
    GateReport,
    GateResult,
    Manifest,
    NetworkFiles,
    Verdict,
    content_hash,
    encode_manifest,
)
from tests.support.bundles import read_manifest
from tests.support.small_training import SmallTraining, train_small

OUTSIDE = {
    "bundle_id": "another",
    "content_hash": "another",
    "created": "2099-01-01T00:00:00Z",
    "git_revision": "another",
    "gate_report": None,
}


@pytest.fixture(scope="module")
def manifest(small_training: SmallTraining) -> Manifest:
    return read_manifest(small_training.outcome.bundle)


def test_the_stored_hash_is_that_of_the_content(manifest: Manifest) -> None:
    assert manifest.content_hash == content_hash(manifest)
    assert manifest.bundle_id.endswith(f"-{manifest.content_hash[:12]}")


@pytest.mark.parametrize("field", OUTSIDE)
def test_time_revision_and_gates_lie_outside_the_hash(manifest: Manifest, field: str) -> None:
    changed = msgspec.structs.replace(manifest, **{field: OUTSIDE[field]})
    assert changed != manifest
    assert content_hash(changed) == content_hash(manifest)


NETWORK = NetworkFiles(
    member="net", feature_set="base", n_steps=48, history_file="history", step_file="step"
)


def test_everything_else_lies_within(manifest: Manifest) -> None:
    changes = {
        "format_version": 5,
        "venue": "another",
        "symbols": ("DOGE/USDT",),
        "timeframe": "4h",
        "horizons": (5,),
        "primary_horizon": 12,
        "label": "another",
        "companions": {},
        "feature_sets": {},
        "members": manifest.members[1:],
        "networks": (NETWORK,),
        "regime": None,
        "meta_file": "another",
        "golden_file": "another",
        "evidence_file": "another",
        "files": {**manifest.files, "meta.json": FileEntry(sha256="0" * 64, bytes=1)},
        "libraries": {},
        "bars": {},
        "settings": {},
        "metrics": {},
        "oof_rows": 1,
    }
    assert set(changes) | set(OUTSIDE) == set(Manifest.__struct_fields__)
    for field, value in changes.items():
        changed = msgspec.structs.replace(manifest, **{field: value})
        assert content_hash(changed) != content_hash(manifest), field


def test_the_order_of_keys_does_not_count(manifest: Manifest) -> None:
    turned = msgspec.structs.replace(manifest, files=dict(reversed(manifest.files.items())))
    assert content_hash(turned) == content_hash(manifest)
    assert encode_manifest(turned) == encode_manifest(manifest)


def test_a_manifest_survives_its_file(manifest: Manifest) -> None:
    text = encode_manifest(manifest)
    assert msgspec.json.decode(text, type=Manifest) == manifest
    assert text.count(b"\n") > 100, "indented, for people who look"


def test_members_are_named_once_and_in_order(manifest: Manifest) -> None:
    assert manifest.member_names == ("lgb", "xgb", "cross")


def _result(name: str, verdict: Verdict) -> GateResult:
    return GateResult(name=name, level="live", value=None, limit="", verdict=verdict, sentence="")


def test_missing_gates_are_those_that_did_not_pass() -> None:
    results = (_result("a", "pass"), _result("b", "fail"), _result("c", "not enough evidence"))
    assert GateReport(level="shadow", results=results).missing == ("b", "c")


def test_two_trainings_on_the_same_bars_give_the_same_bytes(
    small_training: SmallTraining,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no-repository"))
    first, second = small_training.outcome.bundle, train_small(tmp_path / "again").outcome.bundle
    other = read_manifest(second)
    assert other.git_revision == "unknown"
    assert other.content_hash == manifest.content_hash
    for name in manifest.files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
