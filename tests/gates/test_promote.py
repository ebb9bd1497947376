"""`python -m gates promote` as a person types it."""

import json
from pathlib import Path

import pytest

from gates import promote
from plugin.command_line import run_command
from plugin.manifest import GateReport
from plugin.registry import Registry
from tests.support.bundles import flip_byte
from tests.support.promotions import (
    BY,
    ask_few_gates,
    challenge,
    challenger_of,
    champion_of,
    side_by_side,
)
from tests.support.records import write_log

N = 120
NOW = "2025-01-06T00:00"  # the close of bar N - 1


@pytest.fixture(autouse=True)
def few_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_few_gates(monkeypatch)


@pytest.fixture
def challenger(models: Path) -> str:
    """A challenger of a champion that passes no gate."""
    fit = GateReport(level="shadow", results=())
    Registry(models).store_verdict(str(champion_of(models)), fit)
    return challenge(models, 1)


@pytest.fixture
def shadow(models: Path, challenger: str, tmp_path: Path) -> Path:
    """Records in which the challenger is better."""
    log = side_by_side(str(champion_of(models)), challenger, N, edges=(0.0, 0.2))
    write_log(tmp_path / "shadow", log)
    return tmp_path / "shadow"


def run(models: Path, shadow: Path, *arguments: str) -> int:
    folders = ["--models-dir", str(models), "--shadow-dir", str(shadow)]
    command = ["promote", *folders, "--now", NOW, *arguments]
    return run_command("python -m gates", "", [promote], command)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_challenger_that_has_earned_it_becomes_champion(
    models: Path, shadow: Path, challenger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    former = champion_of(models)
    assert run(models, shadow) == 0
    assert f"{challenger} is champion now" in printed(capsys)
    assert (champion_of(models), challenger_of(models)) == (challenger, former)
    promoted = Registry(models).history()[-2]
    assert (promoted.kind, promoted.why) == ("promoted", "its gates pass")
    assert promoted.who.endswith(" by command")
    assert promoted.at == "2025-01-06T00:00:00.000Z"
    assert Registry(models).verdict_file(challenger).exists()


def test_a_dry_run_says_so_and_moves_nothing(
    models: Path, shadow: Path, challenger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, shadow, "--dry-run") == 0
    assert f"{challenger} would be promoted" in printed(capsys)
    assert challenger_of(models) == challenger
    assert not Registry(models).verdict_file(challenger).exists()


def test_evidence_that_is_missing_is_exit_code_3(
    models: Path, challenger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, tmp_path / "none") == 3
    said = printed(capsys)
    assert f"{challenger} stays challenger; missing: against_champion, shadow_evidence" in said
    assert challenger_of(models) == challenger


def test_a_gate_that_failed_is_exit_code_1_and_told_as_json(
    models: Path, challenger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = side_by_side(str(champion_of(models)), challenger, N, edges=(0.2, 0.0))
    write_log(tmp_path / "shadow", log)
    assert run(models, tmp_path / "shadow", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["bundle"], said["allowed"], said["promoted"]) == (challenger, False, False)
    assert said["missing"] == ["against_champion"]
    assert "shown to be above the champion's" in said["reasons"][0]


def test_missing_evidence_can_be_overridden_with_a_reason_that_is_kept(
    models: Path, challenger: str, tmp_path: Path
) -> None:
    assert run(models, tmp_path / "none", "--override", " the old one is broken ") == 0
    assert champion_of(models) == challenger
    why = Registry(models).history()[-2].why
    assert why == "the old one is broken (without against_champion, shadow_evidence)"


def test_being_shown_to_be_worse_can_not_be_overridden(
    models: Path, challenger: str, tmp_path: Path
) -> None:
    log = side_by_side(str(champion_of(models)), challenger, N, edges=(0.2, 0.0))
    write_log(tmp_path / "shadow", log)
    assert run(models, tmp_path / "shadow", "--override", "I know better") == 1
    assert challenger_of(models) == challenger


def test_a_damaged_challenger_can_not_be_overridden(
    models: Path, shadow: Path, challenger: str
) -> None:
    flip_byte(models / "bundles" / challenger / "lgb_h5.txt", 5000)
    assert run(models, shadow, "--override", "it will do") == 1
    assert challenger_of(models) == challenger


def test_an_override_without_a_reason_is_wrong_use(
    models: Path, shadow: Path, challenger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, shadow, "--override", " ") == 2
    assert "a reason after --override" in capsys.readouterr().err
    assert challenger_of(models) == challenger


def test_without_a_challenger_it_is_wrong_use(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, tmp_path) == 2
    assert "expected a challenger to promote, was none" in capsys.readouterr().err


def test_the_champion_before_is_not_promoted_but_rolled_back_to(
    models: Path, shadow: Path, challenger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Registry(models).promote(**BY, why="")
    assert run(models, shadow, "--override", "back") == 2
    assert "`python -m gates rollback` goes back to it" in capsys.readouterr().err
    assert champion_of(models) == challenger


def test_no_folder_of_models_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", tmp_path) == 2
    assert "name another one by --models-dir" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--days", "0"], ["--now", "soon"], ["--limits", "none.toml"]])
def test_a_wrong_flag_is_exit_code_2(models: Path, shadow: Path, wrong: list[str]) -> None:
    try:
        assert run(models, shadow, *wrong) == 2
    except SystemExit as ended:
        assert ended.code == 2
