"""Every candidate is counted, also those that failed and those that were killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from training.attempts import BY_COMMAND, KILLED, attempts, counted

ROOT = Path(__file__).parents[2]
_TRAINS_FOR_EVER = """
import sys, time
from pathlib import Path
from training.attempts import counted
with counted(Path(sys.argv[1]), "drift"):
    print("under way", flush=True)
    time.sleep(60)
"""


def train(models: Path, outcome: str = "waiting") -> int:
    with counted(models, BY_COMMAND) as training:
        training.end(outcome, "a bundle", None)
    return training.number


def fail(models: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), counted(models, BY_COMMAND):
        raise error


def outcomes(models: Path) -> list[str | None]:
    return [one.ended and one.ended.outcome for one in attempts(models)]


@pytest.fixture
def other(tmp_path: Path):
    """Another process that trains into the same folder until it is killed."""
    command = [sys.executable, "-c", _TRAINS_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "under way\n"
        yield process
        process.kill()


def test_nobody_has_trained_yet(tmp_path: Path) -> None:
    assert attempts(tmp_path / "models") == []


def test_candidates_are_numbered_and_say_what_became_of_them(tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert [train(models, "champion"), train(models), train(models, "unfit")] == [1, 2, 3]
    known = attempts(models)
    assert [one.number for one in known] == [1, 2, 3]
    assert outcomes(models) == ["champion", "waiting", "unfit"]
    assert {one.began.trigger for one in known} == {"by command"}
    assert all(one.began.at <= one.ended.at for one in known)
    assert len({one.began.id for one in known}) == 3


def test_the_lines_are_the_contract(tmp_path: Path) -> None:
    train(tmp_path)
    began, ended = (tmp_path / "trainings.jsonl").read_bytes().splitlines()
    began, ended = msgspec.json.decode(began), msgspec.json.decode(ended)
    assert list(began) == ["event", "id", "trigger", "at"]
    assert list(ended) == ["event", "id", "outcome", "bundle_id", "reason", "at"]
    assert (began["event"], ended["event"]) == ("began", "ended")
    assert began["id"] == ended["id"]
    assert oct((tmp_path / "trainings.jsonl").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("of no use"), "ValueError: of no use"),
        (KeyboardInterrupt(), "KeyboardInterrupt: no message"),
        (MemoryError(), "MemoryError: no message"),
    ],
)
def test_an_exception_is_a_failure_with_its_reason_and_goes_on(
    tmp_path: Path, error: BaseException, told: str
) -> None:
    fail(tmp_path, error)
    [one] = attempts(tmp_path)
    assert one.failed
    assert (one.ended.reason, one.ended.bundle_id) == (told, None)


def test_a_training_under_way_is_neither_a_failure_nor_ended(tmp_path: Path, other) -> None:
    [one] = attempts(tmp_path)
    assert one.ended is None
    assert not one.failed
    assert one.began.trigger == "drift"
    assert train(tmp_path) == 2
    assert outcomes(tmp_path) == [None, "waiting"], "another training does not sweep it away"


def test_one_that_was_killed_is_a_failure(tmp_path: Path, other) -> None:
    fail(tmp_path, ValueError("first"))
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    known = attempts(tmp_path)
    assert outcomes(tmp_path) == ["failed", "failed"]
    assert known[0].ended.reason == KILLED
    assert known[0].ended.at == known[0].began.at
    train(tmp_path)
    assert list((tmp_path / "running").iterdir()) == [], "what it left behind is swept away"
    assert outcomes(tmp_path) == ["failed", "failed", "waiting"]


@pytest.mark.parametrize("torn", [b'{"event":"ended","id":"', b'{"event":"began"}', b"\xff\x00", b"[]"])
def test_a_torn_tail_costs_no_other_line(tmp_path: Path, torn: bytes) -> None:
    train(tmp_path)
    with (tmp_path / "trainings.jsonl").open("ab") as file:
        file.write(torn)
    assert outcomes(tmp_path) == ["waiting"]
    assert train(tmp_path, "unfit") == 2
    assert outcomes(tmp_path) == ["waiting", "unfit"]


def test_folders_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with counted(models, BY_COMMAND) as training:
        for folder in (models, models / "running"):
            assert oct(folder.stat().st_mode & 0o777) == "0o700"
        [running] = (models / "running").iterdir()
        assert oct(running.stat().st_mode & 0o777) == "0o600"
        training.end("unfit", None, None)
    assert list((models / "running").iterdir()) == []
