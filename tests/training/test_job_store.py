"""What is planned outlives the process, and nothing that stands in the table is ever run."""

import pickle
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from plugin.errors import WrongUse
from training.cron import cron_trigger
from training.job_store import Definition, PlainJobStore, Planned, next_run_of, read_plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Shell:
    """What a hostile pickle does when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.trace,)  # type: ignore[return-value]


def definition(name: str = "job", cron: str = "17 3 * * 0", grace_s: int = 60) -> Definition:
    return Definition(name, cron, cron_trigger(cron), lambda: None, grace_s)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'schedule.sqlite'}"


@pytest.fixture
def started(url: str) -> Iterator[tuple[PlainJobStore, BackgroundScheduler]]:
    """A store with one job, in a scheduler that runs nothing."""
    store = PlainJobStore(url)
    store.definitions = {"job": definition()}
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone=UTC)
    scheduler.start(paused=True)
    scheduler.add_job(
        lambda: None, id="job", next_run_time=FAR, trigger=store.definitions["job"].trigger
    )
    yield store, scheduler
    scheduler.shutdown()


def execute(tmp_path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(tmp_path / "schedule.sqlite")) as base, base:
        return base.execute(statement, values).fetchall()


def test_a_plan_is_read_back_by_another_process(
    started: tuple[PlainJobStore, BackgroundScheduler], url: str, tmp_path: Path
) -> None:
    expected = Planned(name="job", cron="17 3 * * 0", next_run=FAR)
    assert read_plan(url, ["job", "other"]) == {"job": expected, "other": None}
    [(stored,)] = execute(tmp_path, "SELECT job_state FROM shadowgate_schedule")
    assert stored == b'{"name":"job","cron":"17 3 * * 0","next_run":"2100-01-01T00:00:00Z"}'
    assert stat.S_IMODE((tmp_path / "schedule.sqlite").stat().st_mode) == 0o600


def test_a_job_is_made_from_code_with_its_policies(
    started: tuple[PlainJobStore, BackgroundScheduler],
) -> None:
    store, scheduler = started
    job = scheduler.get_job("job")
    assert job.func is store.definitions["job"].call
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (60, True, 1)
    assert job.next_run_time == FAR
    scheduler.modify_job("job", next_run_time=FAR + timedelta(days=1))
    assert [one.next_run_time for one in scheduler.get_jobs()] == [FAR + timedelta(days=1)]
    store.definitions = {}
    assert scheduler.get_job("job") is None


@pytest.mark.parametrize("kind", ["pickle", "number", "other keys", "text", "unknown job"])
def test_what_is_no_plan_is_dropped_and_not_run(
    started: tuple[PlainJobStore, BackgroundScheduler], url: str, tmp_path: Path, kind: str
) -> None:
    trace = tmp_path / "trace"
    state = {
        "pickle": pickle.dumps(Shell(trace)),
        "number": b"1",
        "other keys": b'{"name":"job","cron":"x","next_run":null,"func":"os:system"}',
        "text": "os:system",
        "unknown job": b'{"name":"other","cron":"* * * * *","next_run":null}',
    }[kind]
    execute(tmp_path, "UPDATE shadowgate_schedule SET next_run_time = 1, job_state = ?", state)
    store, scheduler = started
    assert scheduler.get_job("job") is None
    planned = read_plan(url, ["job"])["job"]
    assert planned is None or planned.name == "other"
    assert store.get_due_jobs(NOW) == []
    assert execute(tmp_path, "SELECT * FROM shadowgate_schedule") == []
    assert not trace.exists()


def test_a_pickle_of_that_kind_would_have_been_run_by_pickle(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Shell(tmp_path / "trace")))  # noqa: S301 - that is the point
    assert (tmp_path / "trace").exists()


def test_looking_at_a_plan_makes_nothing(url: str, tmp_path: Path) -> None:
    assert read_plan(url, ["job"]) == {"job": None}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "schedule.sqlite").touch()
    assert read_plan(url, ["job"]) == {"job": None}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "parse"),
        ("nosuchbase://host/base", "nosuchbase"),
        ("sqlite:////proc/none/schedule.sqlite", "No such file"),
    ],
)
def test_a_database_that_can_not_be_used_is_wrong_use(url: str, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        PlainJobStore(url)


WEEKLY = definition(grace_s=86_400)
SUNDAYS = [datetime(2026, 1, day, 3, 17, tzinfo=UTC) for day in (4, 11, 18)]


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (None, SUNDAYS[0]),
        (Planned(name="job", cron="17 3 * * 0", next_run=None), SUNDAYS[0]),
        (Planned(name="job", cron="0 0 * * *", next_run=NOW), SUNDAYS[0]),
        (
            Planned(name="job", cron="17 3 * * 0", next_run=NOW - timedelta(days=3)),
            NOW - timedelta(days=3),
        ),
        (Planned(name="job", cron="17 3 * * 0", next_run=SUNDAYS[1]), SUNDAYS[1]),
        (
            Planned(name="job", cron="17 3 * * 0", next_run=SUNDAYS[1] + timedelta(days=1)),
            SUNDAYS[1] + timedelta(days=1),
        ),
        (Planned(name="job", cron="17 3 * * 0", next_run=SUNDAYS[2]), SUNDAYS[0]),
    ],
    ids=["new", "none", "other cron", "missed", "clock back", "by a day more", "by weeks"],
)
def test_a_plan_is_kept_unless_cron_or_clock_made_it_wrong(
    planned: Planned | None, expected: datetime
) -> None:
    assert next_run_of(WEEKLY, planned, NOW) == expected
