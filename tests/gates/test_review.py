"""`python -m gates review` as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gates import review
from plugin.command_line import run_command
from shadow.recalibration import read_recalibration
from tests.support.promotions import challenge, challenger_of, champion_of, side_by_side
from tests.support.records import write_log

N = 120
NOW = "2025-01-06T00:00"  # the close of bar N - 1


def run(models: Path, shadow: Path, *arguments: str) -> int:
    folders = ["--models-dir", str(models), "--shadow-dir", str(shadow)]
    return run_command("python -m gates", "", [review], ["review", *folders, *arguments])


@pytest.fixture
def shadow(models: Path, tmp_path: Path) -> Path:
    """Records in which the challenger is worse."""
    log = side_by_side(str(champion_of(models)), challenge(models, 1), N, edges=(0.2, 0.0))
    write_log(tmp_path / "shadow", log)
    return tmp_path / "shadow"


def test_it_makes_the_move_that_is_due_and_says_why(
    models: Path, shadow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    challenger = challenger_of(models)
    assert run(models, shadow, "--now", NOW, "--dry-run") == 0
    assert capsys.readouterr().out.startswith(f"due: dismissed: {challenger}: its Brier score")
    assert challenger_of(models) == challenger
    assert read_recalibration(models, str(champion_of(models))) is None
    assert run(models, shadow, "--now", NOW) == 0
    assert capsys.readouterr().out.startswith(f"dismissed: {challenger}: its Brier score")
    assert challenger_of(models) is None


def test_json_is_what_was_found(models: Path, shadow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    challenger = challenger_of(models)
    assert run(models, shadow, "--now", NOW, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["moved"], said["dry_run"]) == (True, False)
    assert (said["step"]["action"], said["step"]["bundle_id"]) == ("dismissed", challenger)
    assert said["recalibration"]["written"]
    found = read_recalibration(models, str(champion_of(models)))
    assert msgspec.to_builtins(found) == said["recalibration"]["recalibration"]


@pytest.mark.parametrize(("source", "action"), [("replay", "nothing"), ("ccxt", "dismissed")])
def test_of_a_replay_the_clock_is_where_it_stopped(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, action: str
) -> None:
    """By the clock of the machine the challenger's time has long been up."""
    flags = {"ML_EXCHANGE": "binance", "ML_SOURCE": source}
    log = side_by_side(str(champion_of(models)), challenge(models, 1), N)
    write_log(tmp_path / "shadow", [replace(one, flags=flags) for one in log])
    assert run(models, tmp_path / "shadow", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["step"]["action"] == action


def test_a_damaged_pointer_is_exit_code_1(
    models: Path, shadow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "champion").write_bytes(b"{")
    assert run(models, shadow, "--now", NOW) == 1
    assert "expected a pointer to a bundle" in capsys.readouterr().err


def test_no_folder_of_models_is_exit_code_2(tmp_path: Path) -> None:
    assert run(tmp_path / "none", tmp_path) == 2


def test_the_process_knows_all_commands_and_shows_examples(models: Path, shadow: Path) -> None:
    environ = {**os.environ, "ML_MODELS_DIR": str(models), "ML_SHADOW_DIR": str(shadow)}
    command = [sys.executable, "-m", "gates", "review", "--dry-run", "--json", "--now", NOW]
    ended = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["step"]["action"] == "dismissed"
    for name in ("check", "promote", "rollback", "history", "review"):
        helped = subprocess.run(
            [sys.executable, "-m", "gates", name, "--help"], capture_output=True, text=True, check=False
        )
        assert helped.returncode == 0
        assert f"python -m gates {name}" in helped.stdout.split("example:")[1]
