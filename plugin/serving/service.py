"""What makes a live process of the pipeline: which source, who asks, who is told, how does it end?"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog

from plugin.answer import Answer
from plugin.app import App, Observer, Part
from plugin.clock import Clock
from plugin.deadlines import LIVE
from plugin.decision import Serving
from plugin.errors import WrongUse
from plugin.live_flags import LiveFlags
from plugin.serving.desk import Desk
from plugin.serving.notify import Notifier, Watchdog
from plugin.serving.pulse import Pulse
from plugin.serving.reception import Reception
from plugin.serving.self_audit import SelfAudit
from plugin.serving.socket_server import SocketServer
from plugin.serving.status_report import status_of
from plugin.serving.teller import LastAnswer, Teller
from plugin.settings import Settings, from_environment
from plugin.sources.base import BarSource

if TYPE_CHECKING:
    from plugin.serving.metrics import Metrics
    from plugin.sources.redis_answers import RedisAnswers

_log = structlog.get_logger()
DRAIN_S = 5.0
"""So long the batch under way may take when the process is told to stop."""
_STARTING_S = 60.0


class Service(Observer):
    """Everything that `python -m plugin run` runs. Make it once, `serve` it once."""

    def __init__(self, env: Path, environ: Mapping[str, str], clock: Clock) -> None:
        """Raises WrongUse for settings that can not be served, and as App does."""
        self.clock = clock
        self.started_ms = clock.now_ms()
        from_environment(environ)  # what is wrong there can not be corrected while the process runs
        self.flags = LiveFlags(env, environ)
        self.notifier = Notifier(os.environ)
        self.n_reloads = self.n_faults = 0
        settings = self.flags.current
        self.app = App(
            self.flags,
            self._open_source,
            clock,
            settings.exchange,
            deadlines=LIVE,
            state_folder=settings.socket.parent,
        )
        self.desk = Desk(settings.timeframe, settings.symbols, self._flags, self.serving, clock)
        reception = Reception(
            self.app.pipeline,
            self.app.source,
            self.desk,
            settings.timeframe,
            lambda: status_of(self),
            clock,
        )
        self.server = SocketServer(settings.socket, reception.take)
        self._redis = self._redis_answers()
        self._metrics = _metrics(settings.metrics_port)
        self.self_audit = SelfAudit(self.app.pipeline, settings.models_dir, settings.audit_every)
        self.teller = Teller(self, self.notifier, self._metrics)
        self.last: dict[str, LastAnswer] = {}
        self._answered_ms = 0
        self._is_up = self._is_reloading = False
        self._stopping = False

    def serve(self) -> bool:
        """Answer until a signal asks to stop; False where the source ended without that."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to reload
        asyncio.run(self._serve())
        return self._stopping

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._loop.set_exception_handler(self._fault)
        # Not loop.add_signal_handler: these stay when the loop is closed, and a second signal must not
        # kill what is just being finished.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        starting = asyncio.create_task(self._say_starting())
        try:
            await self.app.run(self._deliver, self._parts(), self)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            starting.cancel()
            self.notifier.close()
        _log.info("stopped", asked_to=self._stopping, records_waiting=self.app.recorder.n_waiting)

    async def _say_starting(self) -> None:
        """An exchange that does not answer yet is waited for, and no reason to be started again."""
        while not self._is_up:
            self.notifier.status("fetching history")
            self.notifier.starting(_STARTING_S)
            await asyncio.sleep(_STARTING_S / 3)

    def serving(self) -> Serving | None:
        """What the gates allow the champion; None without one."""
        champion = self.app.reloader.champion
        return champion.serving if champion else None

    def answered(self, answers: Sequence[Answer]) -> None:
        self.teller.bars(answers, self._answered_ms)
        self.self_audit.take(answers)
        if self._redis is not None:
            self._redis.done(answers)

    def reload_asked(self) -> None:
        self.n_reloads += 1
        self._is_reloading = True
        self.notifier.reloading()

    def reload_done(self) -> None:
        if self._is_reloading:
            self._is_reloading = False
            self.notifier.ready()

    def _flags(self) -> Settings:
        return self.flags.current

    def _deliver(self, answers: Sequence[Answer]) -> None:
        self.desk.deliver(answers)
        self._answered_ms = self.clock.now_ms()
        if self._redis is not None:
            self._redis.deliver(answers)

    def _parts(self) -> list[Part]:
        """In the order in which they begin; `_up` is the last to begin and the first to end."""
        teller, timeframe = self.teller, self.flags.current.timeframe
        beats = (self.flags.refresh, teller.mode, teller.systemd, teller.gauges)
        parts: list[Part] = [Pulse(self.clock, timeframe, self.app.pipeline.warm_up, beats)]
        if self._redis is not None:
            parts.append(self._redis)
        if self._metrics is not None:
            parts.append(self._metrics)
        parts += [self.self_audit, self.server, Watchdog(self.notifier, self._gets_on), self._up()]
        return parts

    @asynccontextmanager
    async def _up(self) -> AsyncIterator[None]:
        self._is_up = True
        self.teller.in_force()
        self.teller.systemd()
        self.notifier.ready()
        try:
            yield
        finally:
            self.notifier.stopping()

    def _gets_on(self, limit_s: float) -> bool:
        """Whether no batch has been under way for longer than the limit."""
        since_ns = self.app.busy_since_ns
        return since_ns is None or self.clock.monotonic_ns() - since_ns < limit_s * 1e9

    def _open_source(self, symbols: Sequence[str]) -> BarSource:
        """The source that ML_SOURCE names, imported here: who pushes bars needs no exchange client."""
        settings, clock = self.flags.current, self.clock
        if settings.source == "socket":
            from plugin.sources.pushed import PushedSource

            return PushedSource(clock)
        if settings.source == "ccxt":
            from plugin.sources.ccxt_feed import CcxtFeed

            return CcxtFeed(
                settings.exchange,
                settings.exchange_url,
                symbols,
                settings.timeframe,
                clock,
                overdue=self._overdue,
            )
        if settings.source == "redis":
            from plugin.sources.redis_streams import RedisStreams

            served = settings.symbols
            followed = [symbol for symbol in symbols if symbol not in served]
            return RedisStreams(settings.redis_url, served, followed, settings.timeframe, clock)
        raise WrongUse(
            "ML_SOURCE ccxt, socket or redis for a live process",
            settings.source,
            "stored bars are replayed by `python -m plugin replay`",
        )

    def _overdue(self, symbol: str, open_time_ms: int) -> None:
        self.desk.overdue(symbol, open_time_ms)  # made after the source

    def _redis_answers(self) -> RedisAnswers | None:
        """What publishes the answers of a worker; None where bars do not come from Redis."""
        settings, source = self.flags.current, self.app.source
        if settings.source != "redis":
            return None
        from plugin.sources.redis_answers import RedisAnswers
        from plugin.sources.redis_streams import RedisStreams

        assert isinstance(source, RedisStreams)  # noqa: S101  (opened here)
        source.take_history = self.app.pipeline.take_history
        return RedisAnswers(source, self.app.recorder.log.record_of)

    def _asked_to_stop(self, number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            self._loop.call_soon_threadsafe(self._stop, signal.Signals(number).name)

    def _stop(self, by: str) -> None:
        _log.info("stopping", signal=by)
        self.app.source.stop()
        if self._task is not None:
            # A source that is still fetching its history does not listen yet.
            self._loop.call_later(DRAIN_S if self._is_up else 0.0, self._task.cancel)

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What no other place has caught: said and counted, and the loop goes on."""
        self.n_faults += 1
        error = context.get("exception")
        _log.error("fault_in_loop", what=context.get("message"), exc_info=error)


def _metrics(port: int) -> Metrics | None:
    if not port:
        return None
    from plugin.serving.metrics import Metrics

    return Metrics(port)
