"""`python -m training schedule` as a service starts it, kills it and starts it again."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from plugin.bundle import load_bundle
from plugin.registry import Registry
from tests.support.schedules import ROOT, SCHEDULE, events, make_due, run_once
from tests.support.small_training import END_MS
from training.__main__ import main
from training.attempts import KILLED, attempts
from training.candles import simulate
from training.schedule import CALENDAR, JOBS, LOOK
from training.settings import REFERENCE_ASSETS

MARKET = ("--no-fetch", "--venue", "simulated")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Folders of its own, no file of settings."""
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("ML_")},
        "ML_MODELS_DIR": str(tmp_path / "models"),
        "ML_CANDLES_DIR": str(tmp_path / "candles"),
        "ML_SHADOW_DIR": str(tmp_path / "shadow"),
    }


def start(environment: Mapping[str, str], log: Path, *more: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as lines:
        return subprocess.Popen(
            [*SCHEDULE, "--json", *more], cwd=ROOT, env=dict(environment), stderr=lines
        )


def wait_for(log: Path, text: str) -> None:
    for _ in range(1200):
        if text in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"{text!r} was not written: {log.read_text()}")


def ended_by(process: subprocess.Popen[bytes], number: int) -> int:
    process.send_signal(number)
    return process.wait(timeout=60)


@pytest.mark.slow
def test_a_training_outlives_the_kill_of_its_schedule(
    environment: dict[str, str], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    simulate(tmp_path / "candles", REFERENCE_ASSETS, "1h", 2_400, seed=3, end_ms=END_MS)
    more = (*MARKET, "--", "--folds", "2")
    assert run_once(environment, *more).returncode == 0
    assert not (models / "trainings.jsonl").exists(), "nothing was due"
    make_due(models, LOOK)
    killed = start(environment, tmp_path / "log", *more)
    while len(list(models.glob("resume/*/[!.]*"))) < 3:  # what begins with a dot is being written
        assert killed.poll() is None
        time.sleep(0.05)
    assert ended_by(killed, signal.SIGKILL) == -signal.SIGKILL
    for _ in range(100):  # the kernel ends the training with its schedule
        [cut_off] = attempts(models)
        if cut_off.ended is not None:
            break
        time.sleep(0.05)
    assert cut_off.ended is not None
    assert cut_off.ended.reason == KILLED
    assert Registry(models).champion() is None

    again = run_once(environment, *more)
    assert again.returncode == 0, again.stderr
    [began] = events(again.stderr, "training_began")
    assert (began["trigger"], began["resumed"]) == ("age", True)
    [_, resumed] = attempts(models)
    assert resumed.ended is not None
    assert resumed.ended.outcome == "champion"
    champion = Registry(models).champion()
    assert champion is not None
    assert load_bundle(Registry(models).bundle_folder(champion)).bundle_id == resumed.ended.bundle_id
    record = json.loads((models / "runs" / f"{resumed.ended.bundle_id}.json").read_text())
    assert len(record["resumed"]["reused"]) >= 3
    assert not (models / "schedule.json").exists()


def test_the_second_schedule_is_refused_and_the_first_ends_when_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    first = start(environment, log, *MARKET)
    wait_for(log, "schedule_began")
    second = run_once(environment)
    assert second.returncode == 2
    assert "no other schedule" in second.stderr
    assert ended_by(first, signal.SIGTERM) == 0
    assert "schedule_ended" in log.read_text()
    assert run_once(environment).returncode == 0


def test_a_term_ends_the_run_under_way_and_it_goes_on_later(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The first of the symbols is missing, so that the run fails in the end and needs no bars."""
    models, log = tmp_path / "models", tmp_path / "log"
    assert run_once(environment, *MARKET).returncode == 0
    make_due(models, CALENDAR)
    running = start(environment, log, *MARKET)
    wait_for(log, "training_began")
    assert ended_by(running, signal.SIGTERM) == 0
    interrupted = (models / "schedule.json").exists()
    ended = events(log.read_text(), "training_ended")
    assert len(ended) == 1
    assert interrupted is (ended[0]["outcome"] == "not begun" or "stopped" in str(ended[0]["reason"]))
    again = run_once(environment, *MARKET)
    assert again.returncode == 0
    if interrupted:
        [told] = events(again.stderr, "training_ended")
        assert told["outcome"] == "failed"


def test_status_tells_people_and_programs_the_same(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    status = ["schedule", "--status", "--env", str(tmp_path / ".env")]
    assert main([*status, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["jobs"] == dict.fromkeys(JOBS)
    assert told["hours_since_the_last_good_training"] is None
    assert not (tmp_path / "models").exists(), "to look is to change nothing"

    assert run_once(environment, *MARKET).returncode == 0
    make_due(tmp_path / "models", CALENDAR)
    failed = run_once(environment, *MARKET)
    assert failed.returncode == 0
    assert [line["outcome"] for line in events(failed.stderr, "training_ended")] == ["failed"]
    assert main([*status, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["jobs"]) == set(JOBS)
    assert all(job["next_run"] for job in told["jobs"].values())
    assert told["failures_in_a_row"] == 1
    assert [one["began"]["trigger"] for one in told["attempts"]] == ["calendar"]
    assert {one["name"]: one["fires"] for one in told["triggers"]} == {"again": True, "age": True}
    monkeypatch.setenv("COLUMNS", "200")
    assert main(status) == 0
    printed = capsys.readouterr().out
    for text in ("17 3 * * 0", "retrain by calendar", "1 failures in a row", "none yet", "calendar"):
        assert text in printed


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--max-hours", "0"], "a number above 0"),
        (["--max-hours", "nan"], "a number above 0"),
        (["--max-age-days", "soon"], "a number above 0"),
        (["--max-memory-gib", "3.9"], "at least 4 GiB"),
        (["--once", "--status"], "not allowed with"),
    ],
)
def test_an_argument_that_is_none_is_exit_code_2(
    more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["schedule", *more])
    assert caught.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_database_that_is_none_is_one_line(environment: dict[str, str]) -> None:
    ended = run_once(environment, "--job-store", "nonsense://bot:secret@host/base")
    assert ended.returncode == 2
    assert "--job-store" in ended.stderr
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr
