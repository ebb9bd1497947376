"""`python -m gates check` as a person types it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from gates import check
from gates.rendering import show_report
from gates.runner import run_gates
from plugin.command_line import run_command
from plugin.manifest import GateReport
from plugin.registry import Registry
from tests.support.bundles import bundle_of, flip_byte, read_manifest, reseal
from tests.support.candidates import make_fit_for_live
from tests.support.records import bar, write_log

N_BARS = 30
NOW = "2025-01-02T06:00"


@pytest.fixture
def bundle(models: Path) -> Path:
    """A bundle whose training figures pass every gate."""
    folder = bundle_of(models)
    make_fit_for_live(folder)
    return folder


@pytest.fixture
def shadow(tmp_path: Path, bundle: Path) -> Path:
    """A day and six hours of sound records of that bundle, up to NOW."""
    write_log(tmp_path / "shadow", [bar(at, champion=bundle.name) for at in range(N_BARS)])
    return tmp_path / "shadow"


def run(bundle: Path, *arguments: str) -> int:
    return run_command("python -m gates", "", [check], ["check", str(bundle), *arguments])


def stored(bundle: Path) -> Path:
    return bundle.parent.parent / "verdicts" / f"{bundle.name}.json"


def test_fit_for_live_is_exit_code_0(
    bundle: Path, shadow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, "--shadow-dir", str(shadow), "--now", NOW) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "fit for live: it may steer while ML_ENABLE_STACKING=1" in printed
    assert "missing for live" not in printed


def test_evidence_that_is_missing_is_exit_code_3(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle) == 3
    printed = " ".join(capsys.readouterr().out.split())
    assert "fit for shadow" in printed
    assert "missing for live: shadow_evidence" in printed


def test_a_gate_that_failed_is_exit_code_1(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle_of(models)) == 1
    assert "missing for live: real_market, oof_rows" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_bundle_is_exit_code_1_and_fit_for_nothing(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_byte(bundle / "xgb_h12.json", 777)
    assert run(bundle) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "xgb_h12.json" in printed
    assert "fit for nothing" in printed


def test_no_folder_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none") == 2
    assert "name one below models/bundles" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--days", "0"], ["--days", "-1"], ["--days", "1.5"], ["--now", "soon"]]
)
def test_a_wrong_flag_is_exit_code_2(bundle: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(bundle, *wrong)
    assert ended.value.code == 2


def test_the_process_ends_with_the_exit_code(bundle: Path) -> None:
    command = [sys.executable, "-m", "gates", "check", str(bundle), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert ended.returncode == 3
    assert ended.stderr == ""
    assert json.loads(ended.stdout)["level"] == "shadow"


def test_json_is_the_report(bundle: Path, shadow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "--shadow-dir", str(shadow), "--now", NOW, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["level"], said["bundle"]) == ("live", bundle.name)
    assert said["stored_at"] == str(stored(bundle))
    assert {result["verdict"] for result in said["results"]} == {"pass"}
    assert set(said["results"][0]) == {"name", "level", "value", "limit", "verdict", "sentence"}
    assert said["changed_limits"] == {}


def test_the_stored_verdict_is_what_the_live_process_reads(
    models: Path, bundle: Path, shadow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest(bundle)
    assert manifest.gate_report is not None
    assert manifest.gate_report.level == "shadow"
    run(bundle, "--shadow-dir", str(shadow), "--now", NOW)
    assert "stored at" in capsys.readouterr().out
    verdict = Registry(models).verdict(manifest)
    assert verdict == msgspec.json.decode(stored(bundle).read_bytes(), type=GateReport)
    assert verdict is not None
    assert (verdict.level, verdict.missing) == ("live", ())


def test_a_later_check_takes_the_place_of_an_earlier_one(
    bundle: Path, shadow: Path, models: Path
) -> None:
    run(bundle, "--shadow-dir", str(shadow), "--now", NOW)
    run(bundle, "--shadow-dir", str(shadow), "--now", "2025-03-01")
    verdict = Registry(models).verdict(read_manifest(bundle))
    assert verdict is not None
    assert verdict.level == "shadow"


@pytest.mark.parametrize("how", ["--dry-run", None])
def test_without_evidence_or_on_a_dry_run_nothing_is_stored(
    bundle: Path, shadow: Path, how: str | None
) -> None:
    before = sorted(path.name for path in bundle.parent.parent.iterdir())
    run(bundle, *(["--shadow-dir", str(shadow), how] if how else []))
    assert sorted(path.name for path in bundle.parent.parent.iterdir()) == before


def test_a_check_leaves_the_bundle_as_it_was(bundle: Path, shadow: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    run(bundle, "--shadow-dir", str(shadow), "--now", NOW)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_records_of_another_bundle_do_not_make_it_live(bundle: Path, tmp_path: Path) -> None:
    other = "20240101T000000Z-ba9876543210"
    write_log(tmp_path / "other", [bar(at, champion=other) for at in range(N_BARS)])
    assert run(bundle, "--shadow-dir", str(tmp_path / "other"), "--now", NOW) == 3


def test_a_bundle_under_the_name_of_one_with_evidence_is_fit_for_nothing(
    bundle: Path, shadow: Path
) -> None:
    """Records name the bundle that answered; another one must not inherit them with the name."""
    reseal(bundle, bundle_id="20240101T000000Z-ba9876543210")
    assert run(bundle, "--shadow-dir", str(shadow), "--now", NOW) == 1


def test_a_narrow_screen_still_shows_every_gate(bundle: Path) -> None:
    report = read_manifest(bundle).gate_report
    assert report is not None
    screen = io.StringIO()
    show_report(Console(width=60, file=screen), report)
    assert all(result.name in screen.getvalue() for result in report.results)


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    path = tmp_path / "strict.toml"
    path.write_text("stack_auc = 0.99\n[member_auc]\nxgb = 0.4\n")
    return path


def test_changed_limits_are_held_and_named(
    bundle: Path, shadow: Path, limits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asking = ["--shadow-dir", str(shadow), "--now", NOW, "--limits", str(limits)]
    assert run(bundle, *asking) == 1
    printed = " ".join(capsys.readouterr().out.split())
    changed = "member_auc.xgb 0.4 instead of 0.5, stack_auc 0.99 instead of 0.58"
    assert f"limits changed: {changed}" in printed
    assert "missing for live: performance_stack" in printed
    report = msgspec.json.decode(stored(bundle).read_bytes(), type=GateReport)
    assert report.changed_limits["stack_auc"] == "0.99 instead of 0.58"


def test_limits_of_the_working_directory_are_found(
    bundle: Path, limits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits.rename(limits.with_name("limits.toml"))
    monkeypatch.chdir(limits.parent)
    assert run(bundle, "--json") == 1
    assert set(json.loads(capsys.readouterr().out)["changed_limits"]) == {"member_auc.xgb", "stack_auc"}


def test_limits_that_can_not_be_understood_are_exit_code_2(
    bundle: Path, limits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits.write_text("stack_uac = 0.5\n")
    assert run(bundle, "--limits", str(limits)) == 2
    assert "did you mean stack_auc?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        (["seen"], 0),
        (["seen", "performance_stack"], 1),
        (["performance_lgb", "shadow_evidence"], 3),
        (["sen"], 2),
    ],
)
def test_some_gates_alone_tell_nothing_of_the_level_and_are_not_stored(
    bundle: Path,
    shadow: Path,
    limits: Path,
    capsys: pytest.CaptureFixture[str],
    gates: list[str],
    code: int,
) -> None:
    before = sorted(path.name for path in bundle.parent.parent.iterdir())
    named = [word for gate in gates for word in ("--gate", gate)]
    asking = [*named, "--limits", str(limits)]
    assert run(bundle, *asking) == code
    assert "fit for" not in capsys.readouterr().out
    assert run(bundle, *asking, "--json") == code
    said = capsys.readouterr().out
    if code != 2:
        assert json.loads(said)["level"] is None
        assert [one["name"] for one in json.loads(said)["results"]] == gates
    run(bundle, "--gate", "seen", "--shadow-dir", str(shadow), "--now", NOW)
    assert sorted(path.name for path in bundle.parent.parent.iterdir()) == before


def test_a_wide_screen_shows_value_and_limit_once(bundle: Path) -> None:
    screen = io.StringIO()
    show_report(Console(width=100, file=screen, highlight=False), run_gates(bundle, now_ms=0))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in screen.getvalue()
    (line,) = [line for line in lines if line.strip().startswith("performance_stack")]
    assert line.split()[:3] == ["performance_stack", "live", "pass"]
    assert line.split()[4:7] == [">=", "0.58", "AUC"]
    assert "expected >= 0.58" not in screen.getvalue()
    assert float(line.split()[3]) > 0.58
