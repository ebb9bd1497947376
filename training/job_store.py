"""Where does a schedule outlive its process, with nothing stored that could be run?

APScheduler's own store pickles whole jobs. Here the jobs are fixed in code; the table holds for each
its id, the cron text it was planned by and its next run, as JSON. What stands there and is not that is
dropped, and the job is planned anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.triggers.base import BaseTrigger
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from plugin.errors import NOT_JSON, WrongUse

_TABLE = "shadowgate_schedule"


@dataclass(frozen=True)
class Definition:
    """A job as it stands in code. `cron` is its plan as a person wrote it; `grace_s` is how late it may
    still begin."""

    name: str
    cron: str
    trigger: BaseTrigger
    call: Callable[[], None]
    grace_s: int


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A job as it stands in the table; `next_run` is UTC, None for a job that will not run again."""

    name: str
    cron: str
    next_run: datetime | None


class PlainJobStore(SQLAlchemyJobStore):  # type: ignore[misc]  # apscheduler has no types
    """Keeps the next run of each of `definitions`; where to is an SQLAlchemy URL.

    `definitions` may be replaced while the scheduler runs. Raises WrongUse where the database can not
    be opened or no driver for it is installed.
    """

    def __init__(self, url: str) -> None:
        self.definitions: dict[str, Definition] = {}
        try:
            _make_private(url)
            super().__init__(engine=create_engine(url, pool_pre_ping=True), tablename=_TABLE)
            self.jobs_t.create(self.engine, checkfirst=True)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise _unusable(error) from error

    def planned(self, name: str) -> Planned | None:
        """What the table says of a job; None for nothing, or nothing that can be understood."""
        column = self.jobs_t.c.job_state
        with self.engine.begin() as connection:
            state = connection.execute(select(column).where(self.jobs_t.c.id == name)).scalar()
        return _decoded(state)

    def lookup_job(self, job_id: str) -> Job | None:
        """The job, made from its definition; None for one that is unknown in code or in the table."""
        planned = self.planned(job_id)
        return self._job(planned) if planned and planned.name in self.definitions else None

    def add_job(self, job: Job) -> None:
        """Write a job down. Raises ConflictingIdError where it stands there."""
        with self.engine.begin() as connection:
            try:
                connection.execute(self.jobs_t.insert().values(id=job.id, **self._row(job)))
            except IntegrityError as error:
                raise ConflictingIdError(job.id) from error

    def update_job(self, job: Job) -> None:
        """Write a job's next run down. Raises JobLookupError where the job does not stand there."""
        change = self.jobs_t.update().where(self.jobs_t.c.id == job.id).values(**self._row(job))
        with self.engine.begin() as connection:
            if connection.execute(change).rowcount == 0:
                raise JobLookupError(job.id)

    def _row(self, job: Job) -> dict[str, object]:
        cron = self.definitions[job.id].cron
        at = job.next_run_time and job.next_run_time.astimezone(UTC)
        state = msgspec.json.encode(Planned(name=job.id, cron=cron, next_run=at))
        return {"next_run_time": at and at.timestamp(), "job_state": state}

    def _reconstitute_job(self, job_state: object) -> Job:
        # The parent's version unpickles; what this one raises makes the parent drop the row.
        planned = _decoded(job_state)
        if planned is None or planned.name not in self.definitions:
            raise ValueError("not a job of this schedule")
        return self._job(planned)

    def _job(self, planned: Planned) -> Job:
        own = self.definitions[planned.name]
        job = Job(
            self._scheduler,
            id=own.name,
            name=own.name,
            func=own.call,
            args=(),
            kwargs={},
            trigger=own.trigger,
            executor="default",
            misfire_grace_time=own.grace_s,
            coalesce=True,
            max_instances=1,
            next_run_time=planned.next_run,
        )
        job._jobstore_alias = self._alias
        return job


def next_run_of(own: Definition, planned: Planned | None, now: datetime) -> datetime:
    """When a job runs next: as planned, or anew where its cron text is another one.

    A plan that lies further ahead than the next run but one, and `grace_s` more, was made by a clock
    that ran ahead, and is made anew; a smaller step back of the clock runs nothing twice.
    """
    first: datetime = own.trigger.get_next_fire_time(None, now)
    if planned is None or planned.next_run is None or planned.cron != own.cron:
        return first
    second = own.trigger.get_next_fire_time(first, first) or first
    is_sane = planned.next_run <= second + timedelta(seconds=own.grace_s)
    return planned.next_run if is_sane else first


def read_plan(url: str, names: Sequence[str]) -> dict[str, Planned | None]:
    """What is planned for each job, changing nothing; None where nothing was ever planned."""
    database = make_url(url)
    if database.get_backend_name() == "sqlite" and not Path(database.database or "").is_file():
        return dict.fromkeys(names)
    try:
        engine = create_engine(url)
        if not inspect(engine).has_table(_TABLE):
            return dict.fromkeys(names)
        engine.dispose()
        store = PlainJobStore(url)
        plan = {name: store.planned(name) for name in names}
        store.shutdown()
    except (SQLAlchemyError, ImportError) as error:
        raise _unusable(error) from error
    return plan


def _decoded(state: object) -> Planned | None:
    try:
        return msgspec.json.decode(bytes(state), type=Planned) if isinstance(state, bytes) else None
    except NOT_JSON:
        return None


def _make_private(url: str) -> None:
    """SQLite would make its file for everyone to read."""
    database = make_url(url)
    if database.get_backend_name() == "sqlite" and database.database:
        path = Path(database.database)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _unusable(error: Exception) -> WrongUse:
    remedy = "correct --job-store or install its driver"
    return WrongUse("a database for the schedule", reason_of(error), remedy)


def reason_of(error: Exception) -> str:
    """The driver's own first line; the rest of an SQLAlchemy error may repeat what was sent."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
