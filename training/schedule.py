"""What happens by itself, and when: trainings by the calendar and by triggers, and the review of roles?

Three jobs that are fixed here, a store that outlives the process, one look a minute at the settings.
docs/retraining.md has the rules as tables.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy.exc import SQLAlchemyError

from gates.limits import load_limits
from gates.promotion import review
from gates.recalibration import By, update
from plugin.candle_store import CandleStore
from plugin.clock import Clock, utc_text
from plugin.errors import ShadowgateError, WrongUse
from plugin.registry import Registry
from plugin.settings import Settings, load_settings
from shadow.window import replayed_until
from training.alone import only_schedule
from training.attempts import attempts
from training.cron import cron_trigger
from training.drift import store_drift
from training.job_store import Definition, PlainJobStore, next_run_of, reason_of
from training.reasons import look
from training.scheduled_run import RunOptions, ScheduledRun
from training.triggers import Watch

CALENDAR, LOOK, REVIEW = "retrain by calendar", "look at triggers", "review"
JOBS = (CALENDAR, LOOK, REVIEW)
LOOK_CRON, REVIEW_CRON = "7 * * * *", "*/5 * * * *"
GRACE_S = {CALENDAR: 86_400, LOOK: 3_600, REVIEW: 300}
_WHO = "schedule"
_SETTINGS_EVERY_S = 60.0
_TICK_S = 0.1
_log = structlog.get_logger()


@dataclass(frozen=True)
class ScheduleOptions:
    """What a person says at the start. `job_store` is an SQLAlchemy URL."""

    env_file: Path
    environ: Mapping[str, str]
    job_store: str
    max_age_days: float
    run: RunOptions


class ScheduleDied(ShadowgateError):
    """The scheduler's own thread has ended."""


class Schedule:
    """The jobs, and the scheduler that runs them until `stop` is set."""

    def __init__(
        self, options: ScheduleOptions, settings: Settings, clock: Clock, stop: threading.Event
    ) -> None:
        self._options = options
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._models_dir = settings.models_dir
        self._registry = Registry(settings.models_dir)
        self._watch = Watch(CandleStore(settings.candles_dir), self._registry, options.max_age_days)
        self._run = ScheduledRun(settings.models_dir, options.run, clock, stop)
        self._complaint: str | None = None
        self._store = PlainJobStore(options.job_store)
        self._done: set[str] = set()
        self._scheduler = BlockingScheduler(
            jobstores={"default": self._store},
            executors={"default": ThreadPoolExecutor(len(JOBS))},
            timezone=UTC,
        )
        self._scheduler.add_listener(
            self._hear, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED
        )

    def run(self, *, once: bool, asked_to_stop: Callable[[], bool]) -> None:
        """Run what is due until it is `asked_to_stop`; `once`: only what is due now.

        Raises WrongUse where another schedule runs for the same models folder, ScheduleDied where the
        scheduler's own thread has.
        """
        with only_schedule(self._models_dir), _stdlib_lines_told():
            thread = threading.Thread(
                target=self._scheduler.start, kwargs={"paused": True}, name="scheduler"
            )
            thread.start()
            try:
                while not self._scheduler.running:
                    _alive(thread)
                due = self._plan()
                _log.info("schedule_began", models=str(self._models_dir), due=sorted(due))
                self._scheduler.resume()
                looked_s = time.monotonic()
                while not asked_to_stop() and not (once and due <= self._done):
                    _alive(thread)
                    if time.monotonic() - looked_s > _SETTINGS_EVERY_S:
                        self._try_to_refresh()
                        looked_s = time.monotonic()
            finally:
                self._stop.set()  # the run under way ends now
                if self._scheduler.running:
                    self._scheduler.shutdown(wait=True)
                thread.join()
                _log.info("schedule_ended")

    def _plan(self) -> set[str]:
        """Plan all jobs; the names of those that are due now."""
        self.refresh()
        now = self._now()
        if self._run.cut_off() is not None:  # no need to wait an hour for what is half done
            self._scheduler.modify_job(LOOK, next_run_time=now)
        planned = {name: self._store.planned(name) for name in JOBS}
        return {name for name, one in planned.items() if one and one.next_run and one.next_run <= now}

    def refresh(self) -> None:
        """Read the settings again, and plan anew what they or a step of the clock have changed."""
        self._read_settings()
        for own in self._store.definitions.values():
            planned = self._store.planned(own.name)
            next_run = next_run_of(own, planned, self._now())
            if planned is not None and planned.cron == own.cron and planned.next_run == next_run:
                continue
            _log.info("job_planned", job=own.name, cron=own.cron, next_run=next_run.isoformat())
            self._scheduler.add_job(
                own.call,
                own.trigger,
                id=own.name,
                misfire_grace_time=own.grace_s,
                coalesce=True,
                max_instances=1,
                next_run_time=next_run,
                replace_existing=True,
            )
        self._scheduler.wakeup()  # it measures its sleep by a clock that does not step

    def _read_settings(self) -> None:
        try:
            settings = load_settings(self._options.env_file, self._options.environ)
            self._store.definitions = self._definitions(settings)
            self._settings, self._complaint = settings, None
        except WrongUse as error:
            if str(error) != self._complaint:
                _log.error("settings_refused", error=str(error), in_force="the last good settings")
            self._complaint = str(error)

    def _try_to_refresh(self) -> None:
        try:
            self.refresh()
        except SQLAlchemyError as error:  # it may come back; a training under way goes on meanwhile
            _log.error("schedule_database_lost", error=reason_of(error))

    def _definitions(self, settings: Settings) -> dict[str, Definition]:
        crons = {CALENDAR: settings.retrain_cron, LOOK: LOOK_CRON, REVIEW: REVIEW_CRON}
        calls = {CALENDAR: self._retrain, LOOK: self._look, REVIEW: self._review}
        definitions = {
            name: Definition(name, crons[name], cron_trigger(crons[name]), calls[name], GRACE_S[name])
            for name in JOBS
        }
        for own in definitions.values():
            if own.trigger.get_next_fire_time(None, self._now()) is None:
                raise WrongUse("a cron text with a day that comes", own.cron, "correct ML_RETRAIN_CRON")
        return definitions

    def _retrain(self) -> None:
        self._run.train("calendar", self._settings)

    def _look(self) -> None:
        known = attempts(self._models_dir)
        now_ms = self._clock.now_ms()
        triggers = look(self._watch, self._registry, known, now_ms)
        if self._watch.drift is not None:
            store_drift(self._models_dir, self._watch.drift)
        for trigger in triggers:
            _log.info("trigger_looked_at", **msgspec.structs.asdict(trigger))
        for trigger in triggers:
            if trigger.fires:
                self._run.train(trigger.name, self._settings)
                return

    def _review(self) -> None:
        self._read_settings()
        replayed_ms = replayed_until(self._settings.shadow_dir)  # its records are of its own time
        now_ms = self._clock.now_ms() if replayed_ms is None else replayed_ms
        limits = load_limits()
        found = review(
            self._registry,
            shadow_dir=self._settings.shadow_dir,
            now_ms=now_ms,
            limits=limits,
            # What the operator wants can not be read, so he has not said that he wants it.
            auto_promote=self._settings.auto_promote and self._complaint is None,
            at=utc_text(now_ms),
            who=_WHO,
        )
        if found.moved:
            step = found.step
            _log.warning("role_moved", action=step.action, bundle=step.bundle_id, why=step.why)
        level, by = limits.pair_evidence, By(now_ms, _WHO)
        learnt = update(self._registry, self._settings.shadow_dir, level, by)
        if learnt.written:
            _log.info("recalibrated", why=learnt.why)

    def _hear(self, event: JobExecutionEvent) -> None:
        self._done.add(event.job_id)
        if event.code == EVENT_JOB_MISSED:
            _log.warning("job_missed", job=event.job_id, due=event.scheduled_run_time.isoformat())
        elif event.code == EVENT_JOB_ERROR:
            known = isinstance(event.exception, ShadowgateError)
            trace = {} if known else {"traceback": event.traceback}
            _log.error("job_failed", job=event.job_id, error=str(event.exception), **trace)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)


def _alive(thread: threading.Thread) -> None:
    time.sleep(_TICK_S)
    if not thread.is_alive():
        raise ScheduleDied("a thread that runs the jobs", "none any more", "start the schedule again")


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log.warning("scheduler_said", text=record.getMessage().splitlines()[0])


@contextmanager
def _stdlib_lines_told() -> Iterator[None]:
    """APScheduler's own warnings become lines like all others."""
    logger, told = logging.getLogger("apscheduler"), _Told(logging.WARNING)
    logger.addHandler(told)
    try:
        yield
    finally:
        logger.removeHandler(told)
