"""What is planned follows the settings file, and what a person wants is asked for again each time."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.blocking import BlockingScheduler

from gates.promotion import Review
from gates.view import Step
from plugin.clock import SystemClock
from plugin.settings import load_settings
from shadow.recalibration import read_recalibration
from tests.support.promotions import champion_of
from tests.support.records import HOUR_MS, START_MS, bar, write_log
from tests.support.schedules import make_due
from training import schedule as module
from training.background import RunLimits
from training.job_store import read_plan
from training.schedule import CALENDAR, JOBS, LOOK, REVIEW, Schedule, ScheduleOptions
from training.scheduled_run import RunOptions

NOTHING = "import sys; sys.exit(9)"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    folders = ("models", "candles", "shadow")
    path.write_text("".join(f"ML_{one.upper()}_DIR={tmp_path / one}\n" for one in folders))
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'models' / 'schedule.sqlite'}"


def made(env_file: Path, url: str) -> Schedule:
    run = RunOptions("simulated", None, (), RunLimits(60.0, 4 * 2**30), ("-c", NOTHING))
    options = ScheduleOptions(env_file, {}, url, 30.0, run)
    return Schedule(options, load_settings(env_file, {}), SystemClock(), threading.Event())


@pytest.fixture
def schedule(
    env_file: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Schedule, BlockingScheduler]]:
    """A schedule whose scheduler runs in the background and starts nothing."""
    made_here = made(env_file, url)
    scheduler = made_here._scheduler
    thread = threading.Thread(target=scheduler.start, kwargs={"paused": True})
    thread.start()
    while not scheduler.running:
        pass
    yield made_here, scheduler
    scheduler.shutdown()
    thread.join()


def add_line(env_file: Path, line: str) -> None:
    name = line.partition("=")[0]
    kept = [old for old in env_file.read_text().splitlines() if old.partition("=")[0] != name]
    env_file.write_text("\n".join([*kept, line]) + "\n")


def test_another_cron_text_counts_without_a_restart_and_nonsense_does_not(
    schedule: tuple[Schedule, BlockingScheduler], env_file: Path, url: str
) -> None:
    own, scheduler = schedule
    own.refresh()
    before = read_plan(url, JOBS)
    assert {name: planned and planned.cron for name, planned in before.items()} == {
        CALENDAR: "17 3 * * 0",
        LOOK: "7 * * * *",
        REVIEW: "*/5 * * * *",
    }
    add_line(env_file, "ML_RETRAIN_CRON=30 4 * * 3")
    own.refresh()
    job = scheduler.get_job(CALENDAR)
    assert f"{job.next_run_time:%a %H:%M}" == "Wed 04:30"
    for wrong in ("ML_RETRAIN_CRON=0 0 30 2 *", "ML_RETRAIN_CRON=99 0 * * *", "ML_RETRAIN_CRON=now"):
        add_line(env_file, wrong)
        own.refresh()
        assert scheduler.get_job(CALENDAR).next_run_time == job.next_run_time, wrong
    after = read_plan(url, JOBS)
    assert (after[LOOK], after[REVIEW]) == (before[LOOK], before[REVIEW])


def test_policies_are_those_of_the_table(schedule: tuple[Schedule, BlockingScheduler]) -> None:
    own, scheduler = schedule
    own.refresh()
    jobs = {job.id: job for job in scheduler.get_jobs()}
    assert {name: job.misfire_grace_time for name, job in jobs.items()} == {
        CALENDAR: 86_400,
        LOOK: 3_600,
        REVIEW: 300,
    }
    assert all(job.coalesce and job.max_instances == 1 for job in jobs.values())


def test_what_is_hostile_in_the_table_is_planned_anew(
    schedule: tuple[Schedule, BlockingScheduler], tmp_path: Path
) -> None:
    own, scheduler = schedule
    own.refresh()
    with sqlite3.connect(tmp_path / "models" / "schedule.sqlite") as base:
        base.execute("UPDATE shadowgate_schedule SET next_run_time = 1, job_state = x'80049500'")
    base.close()
    own.refresh()
    assert {job.id for job in scheduler.get_jobs()} == set(JOBS)
    assert all(job.next_run_time > datetime.now(UTC) for job in scheduler.get_jobs())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reviews were asked with; none of them finds anything."""
    asked: list[dict[str, Any]] = []

    def answer(_registry: object, **given: Any) -> Review:
        asked.append(given)
        return Review(step=Step(action="nothing", bundle_id=None, why="-"), moved=False)

    monkeypatch.setattr(module, "review", answer)
    return asked


@pytest.mark.parametrize(("source", "is_replay"), [("replay", True), ("ccxt", False)])
def test_records_of_a_replay_are_reviewed_at_its_end_and_others_now(
    schedule: tuple[Schedule, BlockingScheduler],
    tmp_path: Path,
    source: str,
    is_replay: bool,
    asked: list[dict[str, Any]],
) -> None:
    write_log(tmp_path / "shadow", [bar(n, flags={"ML_SOURCE": source}) for n in range(3)])
    own, scheduler = schedule
    own.refresh()
    began_ms = SystemClock().now_ms()
    scheduler.get_job(REVIEW).func()
    (now_ms,) = (given["now_ms"] for given in asked)
    assert (now_ms == START_MS + 3 * HOUR_MS) is is_replay
    assert (now_ms >= began_ms) is not is_replay


def test_a_review_recalibrates_the_champion(
    models: Path, schedule: tuple[Schedule, BlockingScheduler], tmp_path: Path
) -> None:
    champion = str(champion_of(models))
    flags = {"ML_SOURCE": "replay"}
    write_log(tmp_path / "shadow", [bar(n, champion=champion, flags=flags) for n in range(3)])
    own, scheduler = schedule
    own.refresh()
    scheduler.get_job(REVIEW).func()
    found = read_recalibration(models, champion)
    assert found is not None
    assert (found.kind, found.who, found.until_ms) == ("updated", "schedule", START_MS + 3 * HOUR_MS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ML_AUTO_PROMOTE=0", False),
        ("ML_AUTO_PROMOTE=1", True),
        ("ML_AUTO_PROMOTE=yes", False),
    ],
)
def test_nobody_is_promoted_by_itself_unless_the_file_says_so_now(
    schedule: tuple[Schedule, BlockingScheduler],
    env_file: Path,
    line: str,
    expected: bool,
    asked: list[dict[str, Any]],
) -> None:
    own, scheduler = schedule
    add_line(env_file, "ML_AUTO_PROMOTE=1")
    own.refresh()
    add_line(env_file, line)  # after the last look of the minute
    scheduler.get_job(REVIEW).func()
    assert [given["auto_promote"] for given in asked] == [expected]


def test_a_run_that_was_missed_for_two_days_is_not_made_up_and_one_of_hours_once(
    env_file: Path, url: str, tmp_path: Path
) -> None:
    made(env_file, url).run(once=True, asked_to_stop=lambda: False)
    log = tmp_path / "models" / "trainings.jsonl"
    for late, n_begun in ((timedelta(days=2), 0), (timedelta(hours=20), 1), (None, 1)):
        if late is not None:
            make_due(tmp_path / "models", CALENDAR, late)
        made(env_file, url).run(once=True, asked_to_stop=lambda: False)
        begun = log.read_bytes().count(b'"trigger":"calendar"') if log.exists() else 0
        assert begun == n_begun, late
        planned = read_plan(url, [CALENDAR])[CALENDAR]
        assert planned is not None
        assert planned.next_run is not None
        assert planned.next_run > datetime.now(UTC)
