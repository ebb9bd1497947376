"""What a person who changes a flag is told; with a live process: test_service.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.command_line import run_command
from plugin.commands import set as command
from plugin.manifest import GateReport
from plugin.registry import Registry
from tests.support.bundles import bundle_of

Said = tuple[int, str, str]
Set = Callable[..., Said]


@pytest.fixture
def set_flag(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Set:
    """The command in this process, in a folder of its own: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str) -> Said:
        try:
            code = run_command("python -m plugin", "", (command,), ["set", *arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, *capsys.readouterr()

    return run


def test_it_writes_and_says_what_still_forbids_it(set_flag, tmp_path, models):
    code, out, _ = set_flag("ML_ENABLE_STACKING", "1")
    assert code == 0
    assert (tmp_path / ".env").read_text() == "ML_ENABLE_STACKING=1\n"
    assert "ML_ENABLE_STACKING is 1" in out
    assert "where it was not set" in out
    assert "no process runs: in force when one starts" in out
    assert "mode shadow (gate_real_market)" in out
    assert "missing gates: real_market" in out
    assert "python -m gates check" in out


def test_with_a_verdict_that_allows_it_it_says_live(set_flag, models):
    live = GateReport(level="live", results=())
    Registry(models).store_verdict(bundle_of(models).name, live)
    _, out, _ = set_flag("ML_ENABLE_STACKING", "1", "--json")
    said = json.loads(out)
    assert (said["mode"], said["reason"], said["missing_gates"]) == ("live", "ok", [])
    assert (said["takes_effect"], said["process_runs"]) == ("at the next start", False)
    _, out, _ = set_flag("ML_ENABLED", "0", "--json")
    said = json.loads(out)
    assert (said["mode"], said["reason"]) == ("off", "disabled")


def test_without_a_value_it_shows(set_flag, tmp_path):
    (tmp_path / ".env").write_text("ML_STACKING_MIN_SAMPLES=500\n")
    code, out, _ = set_flag("ML_STACKING_MIN_SAMPLES")
    assert (code, out.splitlines()[0]) == (0, "ML_STACKING_MIN_SAMPLES is 500")
    assert "written" not in out
    assert set_flag("ML_DECISION_TIMEOUT_MS")[1].splitlines()[0] == "ML_DECISION_TIMEOUT_MS is 250"


def test_a_flag_that_the_environment_holds_is_said_to_have_no_effect(set_flag, monkeypatch):
    monkeypatch.setenv("ML_ENABLE_STACKING", "0")
    _, out, _ = set_flag("ML_ENABLE_STACKING", "1")
    assert "ML_ENABLE_STACKING is 0" in out, "what is in force, not what was wished"
    assert "the environment holds this flag" in out
    assert "mode shadow (stacking_off)" in out


def test_without_a_bundle_or_with_a_damaged_one_it_says_so(set_flag, models):
    (models / "champion").write_bytes(b"{}")
    code, out, _ = set_flag("ML_ENABLE_STACKING", "1", "--json")
    assert code == 0
    assert "expected a pointer" in json.loads(out)["bundle_refused"]
    (models / "champion").unlink()
    assert json.loads(set_flag("ML_ENABLE_STACKING", "--json")[1])["reason"] == "no_bundle"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ML_ENABLE_STAKING", "1"], "did you mean ML_ENABLE_STACKING?"),
        (["ML_ENABLE_STACKING", "on"], "expected 0 or 1"),
        (["ML_NOTHING"], "a known flag"),
    ],
)
def test_what_can_not_be_set_is_said_in_one_line(set_flag, tmp_path, arguments, says):
    code, out, err = set_flag(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert says in line
    assert not (tmp_path / ".env").exists()


def test_a_password_is_not_repeated(set_flag):
    _, out, err = set_flag("ML_EXCHANGE_URL", "https://me:secret@mirror.example")
    assert "secret" not in out + err
    code, out, err = set_flag("ML_EXCHANGE_URL", "gopher://me:secret@mirror.example")
    assert code == 2
    assert "secret" not in out + err
    assert "secret" not in set_flag("ML_EXCHANGE_URL", "https://mirror.example")[1]


def test_help_shows_an_example(set_flag):
    code, out, _ = set_flag("--help")
    assert code == 0
    assert "example:\n  python -m plugin set ML_ENABLE_STACKING 1" in out
