"""`python -m training pack` as a person types it."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.bundles import flip_byte
from tests.support.keys import write_keys
from tests.support.small_training import SmallTraining
from training.__main__ import main
from training.packing import gather, read_packed


@pytest.fixture
def bundle(small_training: SmallTraining) -> Path:
    return small_training.outcome.bundle


def test_a_person_reads_where_it_is_and_whether_it_is_signed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pack", str(bundle)]) == 0
    printed = capsys.readouterr().out
    file = tmp_path / f"{bundle.name}.zip"
    assert read_packed(file) == gather(bundle)
    assert f"packed:  {file.name}, {file.stat().st_size:,} bytes" in printed
    assert f"sha256:  {hashlib.sha256(file.read_bytes()).hexdigest()}" in printed
    assert "signed:  no" in printed


def test_json_is_one_object_and_a_signature_is_made_with_the_key(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, out = write_keys(tmp_path, "ours"), tmp_path / "out.zip"
    assert main(["pack", str(bundle), "--out", str(out), "--sign", str(keys.private), "--json"]) == 0
    signature = read_packed(out).signature
    assert signature is not None
    assert len(signature) == 64
    assert json.loads(capsys.readouterr().out) == {
        "bundle_id": bundle.name,
        "file": str(out),
        "bytes": out.stat().st_size,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "signed": True,
    }


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--sign", "no-such.pem"], "a file with a key, was no-such.pem: No such file"),
        (["--out", "."], "a file to write, was ., a folder"),
        (["--out", "nowhere/b.zip"], "name another file with --out"),
    ],
)
def test_wrong_use_is_one_line_exit_code_2_and_writes_nothing(
    bundle: Path,
    tmp_path: Path,
    more: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pack", str(bundle), *more]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_bundle_is_exit_code_1_and_not_packed(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [bundle] = (models / "bundles").iterdir()
    flip_byte(bundle / "golden.npz", 9)
    assert main(["pack", str(bundle), "--out", str(tmp_path / "b.zip")]) == 1
    assert "golden.npz: expected sha256" in capsys.readouterr().err
    assert not (tmp_path / "b.zip").exists()


def test_what_is_no_bundle_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", str(tmp_path / "none")]) == 2
    assert "name one below models/bundles" in capsys.readouterr().err
