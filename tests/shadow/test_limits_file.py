"""The report holds the table [shadow] of the same file that changes the gates' limits."""

import json
from pathlib import Path

import pytest

from shadow.report import main
from tests.support.records import bar, silent_bar, write_log

NOW = "2025-01-03T00:00:00Z"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two days of which every fourth bar has no probability: a coverage of 75 %."""
    folder = tmp_path / "log"
    bars = [bar(n) if n % 4 else silent_bar(n, "warming_up") for n in range(48)]
    write_log(folder, bars)
    return folder


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    path = tmp_path / "limits.toml"
    path.write_text("stack_auc = 0.6\n[shadow]\ncoverage = 0.7\nstacking_activation = 0.7\n")
    return path


def test_a_limit_of_the_checklist_can_be_changed_and_is_named(
    log: Path, limits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dir", str(log), "--now", NOW]
    assert main(arguments) == 1
    assert "limits changed" not in capsys.readouterr().out
    assert main([*arguments, "--limits", str(limits)]) == 0
    said = "limits changed: shadow.coverage 0.7 instead of 0.8"
    assert said in capsys.readouterr().out
    assert main([*arguments, "--limits", str(limits), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["changed_limits"] == {
        "shadow.coverage": "0.7 instead of 0.8",
        "shadow.stacking_activation": "0.7 instead of 0.9",
    }


def test_the_file_of_the_working_directory_is_found(
    log: Path, limits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(limits.parent)
    assert main(["--dir", str(log), "--now", NOW]) == 0


def test_a_limit_that_nobody_knows_is_wrong_use(
    log: Path, limits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits.write_text("[shadow]\ncoverge = 0.7\n")
    assert main(["--dir", str(log), "--limits", str(limits)]) == 2
    assert "did you mean coverage?" in capsys.readouterr().err
