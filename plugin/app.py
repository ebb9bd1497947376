"""How are the parts wired together, and what keeps them running?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import structlog

from plugin.answer import Answer
from plugin.bar import BarClosed
from plugin.clock import Clock, utc_text
from plugin.deadlines import LIVE, Deadlines
from plugin.errors import WrongUse
from plugin.follower import Follower
from plugin.live_flags import LiveFlags
from plugin.pipeline import Pipeline
from plugin.preparing import Preparing
from plugin.recorder import Recorder
from plugin.registry import Registry
from plugin.reloader import Reloader
from plugin.serving_state import StateFile
from plugin.sources.base import BarSource

_log = structlog.get_logger()
Part: TypeAlias = "AbstractAsyncContextManager[object]"
"""Something that lives beside the bars, such as the socket on which a bot asks."""


class Observer:
    """What goes on, for those who want to hear of it; called from the loop, must not raise."""

    def answered(self, answers: Sequence[Answer]) -> None:
        """These are out, the challenger was asked, and nobody waits for them any more."""

    def reload_asked(self) -> None:
        """By a signal. `reload_done` follows."""

    def reload_done(self) -> None:
        """The registry was looked at, whether that was asked for or not."""


_DEAF = Observer()


class App:
    """The live process: bars of one source in, answers to one place out, records on disk.

    `busy_since_ns`, by the monotonic clock, is when the batch that is under way began; else None.
    """

    def __init__(
        self,
        flags: LiveFlags,
        open_source: Callable[[Sequence[str]], BarSource],
        clock: Clock,
        exchange: str,
        *,
        deadlines: Deadlines = LIVE,
        state_folder: Path | None = None,
    ) -> None:
        """Load what serves, open the source of all symbols it needs, take the writer's lock.

        `exchange` is what records name as the origin of the bars. In `state_folder` the process says
        what is in service, and listens to `python -m plugin reload`. Raises WrongUse where the source
        can not be opened, LogInUse or LogUnusable where the shadow log can not.
        """
        settings = flags.current
        self.flags = flags
        self.busy_since_ns: int | None = None
        self.reloader = Reloader(Registry(settings.models_dir))
        self.reloader.refresh()
        self._models_dir = settings.models_dir
        self._state_file = StateFile(state_folder, utc_text(clock.now_ms())) if state_folder else None
        self.source, followed = self._open(open_source, settings.symbols)
        self._is_live = deadlines.decision
        self.recorder = Recorder(settings.shadow_dir, exchange, clock, may_lose=self._is_live)
        self.writer = self.recorder.writer
        self.pipeline = Pipeline(
            timeframe=settings.timeframe,
            served=settings.symbols,
            followed=followed,
            flags=flags,
            reloader=self.reloader,
            clock=clock,
            deadlines=deadlines,
        )
        self._preparing = Preparing(self.pipeline)
        self._clock = clock
        self._told_of: set[str] = set()

    async def run(
        self,
        deliver: Callable[[Sequence[Answer]], None],
        parts: Sequence[Part] = (),
        observer: Observer = _DEAF,
    ) -> None:
        """Warm up from history, then answer every batch until the source ends.

        `parts` live beside the bars from the end of the warm-up on: entered in their order, left in the
        opposite one. Live, one of them looks at the flags; a replay looks after every batch.
        """

        def looked() -> None:
            self._tell_of_companions()
            if self.pipeline.make_room():
                _log.warning("history_needs_restart", n_bars=self.pipeline.lookback)
            observer.reload_done()

        try:
            await self._warm_up()
            self._tell_of_companions()
            follower = Follower(
                self.reloader, self._models_dir, self._state_file, looked, observer.reload_asked
            )
            async with AsyncExitStack() as stack:
                for part in (follower, *parts):
                    await stack.enter_async_context(part)
                async for batch in self.source.batches():
                    await self._walk(batch, deliver, observer)
        finally:
            self._preparing.stop()
            self.recorder.close()

    async def _walk(
        self,
        batch: Sequence[BarClosed],
        deliver: Callable[[Sequence[Answer]], None],
        observer: Observer,
    ) -> None:
        self.busy_since_ns = self._clock.monotonic_ns()
        self._preparing.stop()
        await self.recorder.has_room()
        answers: Sequence[Answer] = self.pipeline.answer(batch)
        deliver(answers)
        try:
            if self._is_live:
                await asyncio.sleep(0)  # who waits for an answer reads it before all that follows
            answers = await self.pipeline.challenge(answers)
        finally:  # what was answered is recorded, also where we are stopped here
            self.recorder.take(answers)
        observer.answered(answers)
        if self._is_live:
            self._preparing.begin()
        else:  # a replay has no time between two bars: all is done at the close
            self.flags.refresh()
        self.busy_since_ns = None

    def _open(
        self, open_source: Callable[[Sequence[str]], BarSource], served: Sequence[str]
    ) -> tuple[BarSource, tuple[str, ...]]:
        """The source, and the companions that it follows beside the `served`."""
        companions = self._companions()
        needed = dict.fromkeys(name for beside in companions.values() for name in beside)
        of_champion = dict.fromkeys(companions.get("champion", ()))
        followed = tuple(name for name in needed if name not in served)
        try:
            return open_source((*served, *followed)), followed
        except WrongUse:
            if needed.keys() == of_champion.keys():
                raise
        # A challenger that compares with what can not be had must not keep the champion from serving.
        followed = tuple(name for name in of_champion if name not in served)
        return open_source((*served, *followed)), followed

    def _companions(self) -> dict[str, tuple[str, ...]]:
        """By role, what the bundle in service compares the served symbols with."""
        reloader, served = self.reloader, self.flags.current.symbols
        bundles = {
            "champion": reloader.champion.bundle if reloader.champion else None,
            "challenger": reloader.challenger.bundle if reloader.challenger else None,
        }
        return {
            role: tuple(
                name for symbol in served for name in bundle.manifest.companions.get(symbol, ())
            )
            for role, bundle in bundles.items()
            if bundle is not None
        }

    def _tell_of_companions(self) -> None:
        """Which symbols are opened is settled at the start: say once what a later bundle lacks."""
        for role, names in self._companions().items():
            missing = sorted(set(names) - self.pipeline.buffers.keys())
            text = f"{role} {missing}"
            if missing and text not in self._told_of:
                self._told_of.add(text)
                _log.warning("companions_need_restart", role=role, symbols=missing)

    async def _warm_up(self) -> None:
        self.pipeline.make_room()
        for buffer in self.pipeline.buffers.values():
            history = await self.source.history(buffer.symbol, self.pipeline.lookback)
            if history is not None:
                self.pipeline.take_history(history)
        self.pipeline.prepare(list(self.pipeline.buffers))
        self.pipeline.warm_up()
        # What lives now lives for ever: a later collection need not walk it, which takes long.
        gc.collect()
        gc.freeze()
