"""How does a training run that nobody watches, and when may the next one begin after it failed?

models/schedule.json     the run under way, or the one that was cut off: what it is resumed with
models/logs/<id>.log     what its commands said
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from plugin.clock import Clock, utc_text
from plugin.command_line import utc_ms
from plugin.durable import replace_file, sync_folder
from plugin.settings import Settings
from training.attempts import KILLED, Attempt, Counted, Ended, attempts, counted
from training.background import (
    STOPPED,
    RunCutOff,
    RunFailed,
    RunLimits,
    last_line,
    open_log,
    run_in_background,
)
from training.candles import venue_of
from training.settings import MEMBERS, REFERENCE_ASSETS

HOUR_MS = 3_600_000
LONGEST_PAUSE_HOURS = 24
_RESUMABLE_MS = 24 * HOUR_MS
_log = structlog.get_logger()


@dataclass(frozen=True)
class RunOptions:
    """What a person says of every run. `venue` None: that of the exchange in the settings; `since` is
    the first bar to fetch, None for no fetching; `more` goes to `training run` as it stands. `program`
    is what Python runs for both."""

    venue: str | None
    since: str | None
    more: tuple[str, ...]
    limits: RunLimits
    program: tuple[str, ...] = ("-m", "training")


class UnderWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run that has begun and not ended. With the same `until` it can use again what was finished;
    `is_fetched` says whether the bars until then are there."""

    trigger: str
    began: str
    until: str
    is_fetched: bool
    times_resumed: int


class ScheduledRun:
    """Runs trainings for the models folder, one at a time; `stop` ends the one under way."""

    def __init__(
        self, models_dir: Path, options: RunOptions, clock: Clock, stop: threading.Event
    ) -> None:
        self._models_dir = models_dir
        self._options = options
        self._clock = clock
        self._stop = stop
        self._one_at_a_time = threading.Lock()
        self._file = models_dir / "schedule.json"

    def cut_off(self) -> UnderWay | None:
        """The run that was cut off, while it is worth resuming."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=UnderWay)
            age_ms = self._clock.now_ms() - utc_ms(found.began)
        except (OSError, msgspec.MsgspecError, ValueError):
            return None
        return found if 0 <= age_ms < _RESUMABLE_MS else None

    def why_not_now(self) -> str | None:
        """Why no run may begin now, as a sentence; None where one may."""
        known = attempts(self._models_dir)
        if any(attempt.ended is None for attempt in known):
            return "a training is under way"
        cut_off = self.cut_off()
        if cut_off is not None and cut_off.times_resumed == 0:
            return None  # it did not fail, and has done part of its work
        free_ms = free_from_ms(known)
        pause_ms = 0 if free_ms is None else free_ms - self._clock.now_ms()
        # A failure of the future was written before the clock was put right, and holds nothing up.
        if free_ms is not None and 0 < pause_ms <= LONGEST_PAUSE_HOURS * HOUR_MS:
            return f"{failures_in_a_row(known)} failures in a row: not before {utc_text(free_ms)}"
        return None

    def train(self, trigger: str, settings: Settings) -> Attempt | None:
        """Fetch and train, unless something speaks against it; what it led to, None where it did not
        come to a training. Never raises for a run that fails: that is an outcome."""
        if not self._one_at_a_time.acquire(blocking=False):
            _log.info("training_put_off", trigger=trigger, why="a run is under way")
            return None
        try:
            why_not = self.why_not_now()
            if why_not is not None:
                _log.info("training_put_off", trigger=trigger, why=why_not)
                return None
            return self._train(trigger, settings)
        finally:
            self._one_at_a_time.release()

    def _train(self, trigger: str, settings: Settings) -> Attempt | None:
        known = len(attempts(self._models_dir))
        run, resumed = self._begin(trigger, settings)
        log = open_log(self._models_dir / "logs", utc_text(self._clock.now_ms()).replace(":", ""))
        _log.info("training_began", trigger=run.trigger, resumed=resumed, log=str(log))
        reason, is_resumable = None, False
        try:
            self._fetch(run, settings, log)
            self._run("run", self._arguments(run, settings), settings, log, well=(0, 1))
        except RunFailed as error:
            reason, is_resumable = str(error.was), isinstance(error, RunCutOff)
        if not is_resumable:
            self._file.unlink()
            sync_folder(self._models_dir)
        attempt = self._written_down(known, run.trigger, reason)
        _tell(run.trigger, attempt.ended if attempt else None, reason)
        return attempt

    def _begin(self, trigger: str, settings: Settings) -> tuple[UnderWay, bool]:
        """The run that was cut off, or else a new one; written down before anything of it is done."""
        cut_off = self.cut_off()
        now_ms = self._clock.now_ms()
        if cut_off is not None:
            run = msgspec.structs.replace(cut_off, times_resumed=cut_off.times_resumed + 1)
        else:
            until = utc_text(settings.timeframe.floor(now_ms))
            run = UnderWay(
                trigger=trigger,
                began=utc_text(now_ms),
                until=until,
                is_fetched=False,
                times_resumed=0,
            )
        replace_file(self._file, msgspec.json.encode(run))
        return run, cut_off is not None

    def _fetch(self, run: UnderWay, settings: Settings, log: Path) -> None:
        if run.is_fetched or self._options.since is None:
            return
        symbols = dict.fromkeys((*settings.symbols, *REFERENCE_ASSETS))
        dates = ("--since", self._options.since, "--until", run.until)
        market = ("--exchange", settings.exchange, "--timeframe", settings.timeframe.name)
        arguments = ("--symbols", *symbols, *dates, *market, "--store", str(settings.candles_dir))
        self._run("fetch", arguments, settings, log, well=(0,))
        replace_file(self._file, msgspec.json.encode(msgspec.structs.replace(run, is_fetched=True)))

    def _arguments(self, run: UnderWay, settings: Settings) -> tuple[str, ...]:
        venue = self._options.venue or venue_of(settings.exchange, "spot")
        return (
            *("--resume", "--trigger", run.trigger, "--until", run.until),
            *("--venue", venue, "--timeframe", settings.timeframe.name),
            *("--store", str(settings.candles_dir), "--models-dir", str(self._models_dir)),
            *("--symbols", *settings.symbols),
            *("--members", *(member.name for member in MEMBERS), *settings.sequence_members),
            *self._options.more,
        )

    def _run(
        self,
        command: str,
        arguments: Sequence[str],
        settings: Settings,
        log: Path,
        well: tuple[int, ...],
    ) -> None:
        code = run_in_background(
            [*self._options.program, command, *arguments],
            log=log,
            limits=self._options.limits,
            stop=self._stop,
            environment={**os.environ, "ML_EXCHANGE_URL": settings.exchange_url},
        )
        if code not in well:
            raise RunFailed(f"`training {command}`", f"{command}: {last_line(log)}")

    def _written_down(self, n_known: int, trigger: str, reason: str | None) -> Attempt | None:
        """What the training wrote of itself, or else what is known of why it could not."""
        new = attempts(self._models_dir)[n_known:]
        mine = [attempt for attempt in new if attempt.began.trigger == trigger]
        if mine and reason is not None and mine[-1].ended and mine[-1].ended.reason == KILLED:
            Counted(self._models_dir, mine[-1].began, mine[-1].number).end("failed", None, reason)
        if not mine and reason != STOPPED:
            with suppress(RunFailed), counted(self._models_dir, trigger):
                raise RunFailed("a training", reason or "no word of its beginning")
        new = attempts(self._models_dir)[n_known:]
        return next((one for one in reversed(new) if one.began.trigger == trigger), None)


def failures_in_a_row(known: Sequence[Attempt]) -> int:
    """How many of the newest trainings failed, those passed over that the scheduler itself stopped."""
    failures = 0
    for attempt in reversed(known):
        if attempt.ended is None or attempt.ended.reason == STOPPED:
            continue
        if not attempt.failed:
            break
        failures += 1
    return failures


def free_from_ms(known: Sequence[Attempt]) -> int | None:
    """From when on another run may begin; None where none of the newest trainings failed.

    One hour after the first failure in a row, two after the second, and so on, at most a day.
    """
    failures = failures_in_a_row(known)
    if not failures:
        return None
    newest = max(utc_ms(attempt.ended.at) for attempt in known if attempt.ended and attempt.failed)
    hours: int = min(2 ** (failures - 1), LONGEST_PAUSE_HOURS)
    return newest + hours * HOUR_MS


def _tell(trigger: str, ended: Ended | None, reason: str | None) -> None:
    outcome = ended.outcome if ended else "not begun"
    told = {"bundle": ended.bundle_id, "reason": ended.reason} if ended else {"reason": reason}
    tell = _log.warning if outcome in ("failed", "not begun") else _log.info
    tell("training_ended", trigger=trigger, outcome=outcome, **told)
