"""`python -m gates rollback` as a person types it."""

import json
from pathlib import Path

import pytest

from gates import rollback
from plugin.command_line import run_command
from plugin.registry import Registry
from tests.support.bundles import flip_byte
from tests.support.promotions import BY, challenge, challenger_of, champion_of


def run(models: Path, *arguments: str) -> int:
    command = ["rollback", "--models-dir", str(models), *arguments]
    return run_command("python -m gates", "", [rollback], command)


@pytest.fixture
def former(models: Path) -> str:
    """Who was champion before the one that serves."""
    former = champion_of(models)
    challenge(models, 1)
    Registry(models).promote(**BY, why="")
    return str(former)


def test_it_goes_back_and_says_to_whom(
    models: Path, former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models, "--why", "it lost money") == 0
    assert capsys.readouterr().out == f"{former} is champion again\n"
    assert (champion_of(models), challenger_of(models)) == (former, None)
    told = Registry(models).history()[-2]
    assert (told.kind, told.why) == ("rolled back", "it lost money")
    assert told.who.endswith(" by command")


def test_a_dry_run_only_says_to_whom(
    models: Path, former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = champion_of(models)
    assert run(models, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"bundle": former, "rolled_back": False}
    assert champion_of(models) == before


def test_where_there_is_nobody_to_go_back_to_it_is_exit_code_2(
    models: Path, former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(models) == 0
    assert run(models) == 2
    assert "expected a champion before this one, was none" in capsys.readouterr().err
    assert champion_of(models) == former


def test_a_damaged_bundle_to_go_back_to_is_exit_code_1_and_named(
    models: Path, former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = champion_of(models)
    flip_byte(models / "bundles" / former / "meta.json", 50)
    assert run(models) == 1
    assert former in capsys.readouterr().err
    assert champion_of(models) == before


def test_no_folder_of_models_is_wrong_use(tmp_path: Path) -> None:
    assert run(tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()
