"""`python -m training install` as a person types it, with the process that tries the bundle."""

import json
from pathlib import Path

import msgspec
import pytest

from plugin.registry import Registry
from tests.support.bundles import add_twin, read_manifest, reseal
from tests.support.keys import write_keys
from tests.support.small_training import SmallTraining
from training.__main__ import main
from training.packing import gather, write_packed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host: no .env, no models, and no ML_ variable."""
    (tmp_path / "host").mkdir()
    monkeypatch.chdir(tmp_path / "host")
    for name in ("ML_MODELS_DIR", "ML_PUBLIC_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bundle(small_training: SmallTraining) -> Path:
    return small_training.outcome.bundle


@pytest.fixture
def carried(bundle: Path, tmp_path: Path) -> Path:
    write_packed(gather(bundle), tmp_path / "carried.zip")
    return tmp_path / "carried.zip"


def test_a_bundle_goes_from_one_host_to_the_other(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, file = write_keys(tmp_path, "ours"), tmp_path / "b.zip"
    assert main(["pack", str(bundle), "--out", str(file), "--sign", str(keys.private)]) == 0
    capsys.readouterr()
    Path(".env").write_text(f"ML_MODELS_DIR=mine\nML_PUBLIC_KEY={keys.public}\n")
    assert main(["install", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f"bundle:     {bundle.name}: installed" in printed
    assert "signature:  confirmed" in printed
    assert "role:       champion: serves from now on: `python -m plugin reload`" in printed
    place = Path("mine/bundles") / bundle.name
    assert gather(place) == gather(bundle)
    assert main(["install", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "was there before, with the same bytes" in printed
    assert "role:       as before" in printed


def test_json_is_one_object_also_of_a_dry_run(
    carried: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", str(carried), "--models-dir", "m", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bundle_id": bundle.name,
        "signature": "none",
        "was_there": False,
        "became": None,
    }
    assert list(Path("m").rglob("*")) == [Path("m/drafts")]


def test_a_bundle_that_answers_otherwise_on_this_host_is_refused(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [bundle] = (models / "bundles").iterdir()
    name = read_manifest(bundle).meta_file
    meta = msgspec.json.decode((bundle / name).read_bytes())
    meta["horizons"]["5"]["weights"][0] += 0.01
    (bundle / name).write_bytes(msgspec.json.encode(meta))
    reseal(bundle)
    write_packed(gather(bundle), tmp_path / "b.zip")
    assert main(["install", str(tmp_path / "b.zip"), "--models-dir", "m"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "expected a bundle that repeats its golden answers" in printed.err
    assert list(Path("m").rglob("*")) == [Path("m/drafts")]


def test_a_bundle_that_is_fit_for_nothing_is_exit_code_1(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = add_twin(models)
    reseal(twin, gate_report=None)
    write_packed(gather(twin), tmp_path / "b.zip")
    assert main(["install", str(tmp_path / "b.zip"), "--models-dir", "m"]) == 1
    assert "role:       unfit: its gates did not find it fit" in capsys.readouterr().out
    assert Registry(Path("m")).champion() is None


@pytest.mark.parametrize("held_by", ["file", "environment", "option"])
def test_wherever_the_key_is_named_a_bundle_without_a_signature_is_refused(
    carried: Path,
    tmp_path: Path,
    held_by: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = str(write_keys(tmp_path, "ours").public)
    more = []
    if held_by == "file":
        Path(".env").write_text(f"ML_PUBLIC_KEY={key}\n")
    elif held_by == "environment":
        monkeypatch.setenv("ML_PUBLIC_KEY", key)
    else:
        more = ["--public-key", key]
    assert main(["install", str(carried), *more]) == 1
    assert capsys.readouterr().err == (
        f"signature: expected one that {key} confirms, was none; the bundle is refused\n"
    )
    assert not Path("models").exists()


def test_the_option_goes_before_the_setting(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs, file = (
        write_keys(tmp_path, "ours"),
        write_keys(tmp_path, "theirs"),
        tmp_path / "b.zip",
    )
    assert main(["pack", str(bundle), "--out", str(file), "--sign", str(theirs.private)]) == 0
    Path(".env").write_text(f"ML_PUBLIC_KEY={ours.public}\n")
    assert main(["install", str(file), "--dry-run"]) == 1
    assert main(["install", str(file), "--dry-run", "--public-key", str(theirs.public)]) == 0
    assert "signature:  confirmed" in capsys.readouterr().out


def test_settings_that_can_not_be_understood_keep_everything_out(
    carried: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line that is not understood may be the one that names the key."""
    Path(".env").write_text("ML_PUBLICKEY=/etc/key.pem\n")
    assert main(["install", str(carried)]) == 2
    assert "did you mean ML_PUBLIC_KEY?" in capsys.readouterr().err
    assert not Path("models").exists()


def test_no_file_is_wrong_use_and_another_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.zip").write_bytes(b"PK\x03\x04 something else")
    assert main(["install", str(tmp_path / "none.zip")]) == 2
    assert main(["install", str(tmp_path / "other.zip")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 2
    assert not Path("models").exists()
