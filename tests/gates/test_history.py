"""`python -m gates history` as a person types it."""

import json
from pathlib import Path

import pytest

from gates import history
from plugin.command_line import run_command
from plugin.registry import Registry
from tests.support.promotions import BY, challenge, champion_of


def run(models: Path, *arguments: str) -> int:
    command = ["history", "--models-dir", str(models), *arguments]
    return run_command("python -m gates", "", [history], command)


@pytest.fixture
def moved(models: Path) -> Path:
    """A folder of models with a promotion and a rollback."""
    challenge(models, 1)
    registry = Registry(models)
    registry.promote(**BY, why="it is [better]")
    registry.roll_back(**BY, why="it was not")
    return models


def test_every_move_is_a_row(
    moved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert run(moved) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    promoted = Registry(moved).history()[2]
    assert promoted.report_sha256 is not None
    expected = f"champion promoted {promoted.bundle_id} a test it is [better]"
    assert f"2025-01-01 00:00 {expected} {promoted.report_sha256[:12]}" in rows
    kinds = [move.kind for move in Registry(moved).history()]
    assert kinds == ["appointed", "appointed", "promoted", "appointed", "rolled back", "dismissed"]
    assert [row for row in rows if row.startswith("2025")] == [row for row in rows if " a test " in row]


def test_a_narrow_screen_still_shows_every_move(
    moved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(moved, "--last", "4") == 0
    promoted, *_, dismissed = Registry(moved).history()[2:]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"2025-01-01 00:00  champion promoted  {promoted.bundle_id}"
    assert lines[1] == f"    a test: it is [better] (report {str(promoted.report_sha256)[:12]})"
    assert lines[6] == f"2025-01-01 00:00  challenger dismissed  {dismissed.replaced}"
    assert "the last 4 of 6 moves" in lines


def test_json_has_every_field(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(moved, "--json", "--last", "2") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_moves"] == 6
    assert [move["kind"] for move in said["moves"]] == ["rolled back", "dismissed"]
    assert said["moves"][0]["bundle_id"] == champion_of(moved)
    fields = {"role", "kind", "bundle_id", "manifest_sha256", "report_sha256", "replaced"}
    assert set(said["moves"][0]) == fields | {"at", "who", "why"}


def test_every_candidate_that_was_ever_begun_is_counted(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (moved / "trainings.jsonl").unlink(missing_ok=True)
    assert run(moved, "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates_trained"] is None
    lines = [
        b'{"event":"began","id":"a"}',
        b'{"event":"ended","id":"a"}',
        b"",
        b'["began"]',
        b'{"event": "began", "id": "b"}',
        b'{"event":"beg',
    ]
    (moved / "trainings.jsonl").write_bytes(b"\n".join(lines))
    assert run(moved) == 0
    assert "candidates ever trained: 2" in capsys.readouterr().out


def test_without_a_move_the_table_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["moves"], said["n_moves"]) == ([], 0)


def test_a_damaged_history_is_exit_code_1(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = moved / "history.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    assert run(moved) == 1
    assert "in line 1" in capsys.readouterr().err


def test_no_folder_of_models_is_wrong_use(tmp_path: Path) -> None:
    assert run(tmp_path / "none") == 2
