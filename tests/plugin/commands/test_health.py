"""`python -m plugin health` as a person types it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.command_line import run_command
from plugin.commands import health
from tests.support.bundles import appoint, bundle_of, file_names, flip_byte, reseal
from tests.support.records import HOUR_MS, START_MS, bar, write_log
from tests.support.small_training import SmallTraining

Health = Callable[..., int]


@pytest.fixture
def run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Health:
    monkeypatch.setenv("ML_MODELS_DIR", str(models))
    monkeypatch.setenv("ML_SHADOW_DIR", str(tmp_path / "shadow"))
    monkeypatch.setenv("ML_SYMBOLS", "BTC/USDT,ETH/USDT")

    def run_health(*arguments: str) -> int:
        no_file = str(tmp_path / ".env")
        return run_command("python -m plugin", "", [health], ["health", "--env", no_file, *arguments])

    return run_health


def test_an_intact_bundle_is_well(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--skip-live") == 0
    printed = capsys.readouterr().out
    assert bundle_of(models).name in printed
    assert "all is well" in printed
    assert "missing for live" in printed
    for member in ("lgb", "xgb", "cross"):
        assert member in printed


def test_json_has_every_member(run: Health, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--skip-live", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["healthy"], report["faults"], report["verdict"]) == (True, [], "shadow")
    assert report["bundle"] == bundle_of(models).name
    assert "live" not in report
    assert "shadow_evidence" in report["missing_gates"]
    assert list(report["members"]) == ["lgb", "xgb", "cross"]
    for member in report["members"].values():
        assert member["status"] == "ok"
        assert 0.0 < member["lowest_p"] < member["highest_p"] < 1.0
        assert member["difference_from_training"] <= 1e-6


def test_one_changed_byte_in_any_file_is_not_well_and_names_the_file(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = bundle_of(models)
    for number, name in enumerate(file_names(bundle)):
        original = (bundle / name).read_bytes()
        for position in (number, len(original) // 2, -1 - number):
            flip_byte(bundle / name, position)
            assert run("--skip-live") == 1
            printed = capsys.readouterr().out
            assert name in printed
            assert "NOT well" in printed
            assert "all is well" not in printed
            (bundle / name).write_bytes(original)
    assert run("--skip-live") == 0


def test_a_damaged_bundle_is_exit_code_1_and_no_traceback_for_a_person(
    small_training: SmallTraining, models: Path
) -> None:
    flip_byte(bundle_of(models) / "xgb_h12.json", 12_345)
    environment = {**os.environ, "ML_MODELS_DIR": str(models)}
    command = [sys.executable, "-m", "plugin", "health", "--skip-live"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 1
    assert "xgb_h12.json" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_other_answers_than_training_gave_are_not_well(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = bundle_of(models)
    (bundle / "lgb_h5.txt").write_bytes((bundle / "lgb_h24.txt").read_bytes())
    reseal(bundle)
    appoint(models, bundle)
    assert run("--skip-live", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["healthy"]
    assert "golden.npz: expected answers within" in report["faults"][0]


def test_where_no_bundle_serves_that_is_said(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "champion").unlink()
    assert run("--skip-live") == 1
    assert "no bundle serves" in capsys.readouterr().out


def test_a_damaged_pointer_is_not_well(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "champion").write_text("{")
    assert run("--skip-live") == 1
    assert "champion: expected a pointer" in capsys.readouterr().out


def test_a_pointer_to_nothing_is_not_well(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle_of(models).rename(models / "away")
    assert run("--skip-live") == 1
    assert "a bundle below" in capsys.readouterr().out


def test_a_damaged_report_of_the_gates_is_not_well(
    run: Health, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "verdicts").mkdir()
    (models / "verdicts" / f"{bundle_of(models).name}.json").write_text("{}")
    assert run("--skip-live") == 1
    assert "a gate report" in capsys.readouterr().out


def test_without_records_of_the_newest_bars_it_is_not_well(
    run: Health, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert [fault.split(":")[0] for fault in report["faults"]] == ["BTC/USDT", "ETH/USDT"]
    assert report["live"]["newest_bar"] == {"BTC/USDT": None, "ETH/USDT": None}


@pytest.mark.parametrize(("hours_ago", "well"), [(1, True), (2, True), (4, False), (30, False)])
def test_records_must_not_be_older_than_two_bars(
    run: Health, tmp_path: Path, hours_ago: int, well: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    this_hour_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
    opened_ms = this_hour_ms - hours_ago * HOUR_MS
    symbols = ("BTC/USDT", "ETH/USDT")
    n = (opened_ms - START_MS) // HOUR_MS
    write_log(tmp_path / "shadow", [bar(n, symbol=symbol) for symbol in symbols])
    assert run("--json") == (0 if well else 1)
    report = json.loads(capsys.readouterr().out)
    assert len(report["faults"]) == (0 if well else 2)
    assert report["live"]["damage"]["broken_lines"] == 0


def test_a_bad_setting_is_wrong_use(
    run: Health, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_TIMEFRAME", "soon")
    assert run() == 2
    assert "ML_TIMEFRAME" in capsys.readouterr().err
