"""How are the parts wired together, and what keeps them running?"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from plugin.answer import Answer
from plugin.clock import Clock
from plugin.features import LOOKBACK_BARS
from plugin.pipeline import Pipeline
from plugin.registry import Registry
from plugin.reloader import Reloader
from plugin.settings import LiveFlags
from plugin.shadow_log import ShadowLog
from plugin.sources.base import BarSource
from shadow.writer import ShadowWriter


class App:
    """The live process: bars of one source in, answers to one place out, records on disk."""

    def __init__(
        self,
        flags: LiveFlags,
        open_source: Callable[[Sequence[str]], BarSource],
        clock: Clock,
        exchange: str,
    ) -> None:
        """Load the champion, open the source of all symbols it needs, take the writer's lock.

        `exchange` is what records name as the origin of the bars. Raises WrongUse where the source can
        not be opened, LogInUse or LogUnusable where the shadow log can not.
        """
        settings = flags.current
        self.flags = flags
        self.reloader = Reloader(Registry(settings.models_dir))
        self.reloader.refresh()
        followed = self._companions(settings.symbols)
        self.source = open_source((*settings.symbols, *followed))
        self.writer = ShadowWriter(settings.shadow_dir, clock.now_ms)
        self.pipeline = Pipeline(
            timeframe=settings.timeframe,
            served=settings.symbols,
            followed=followed,
            flags=flags,
            reloader=self.reloader,
            shadow_log=ShadowLog(self.writer, exchange),
            clock=clock,
        )

    def _companions(self, served: Sequence[str]) -> tuple[str, ...]:
        champion = self.reloader.champion
        companions = champion.bundle.manifest.companions if champion else {}
        beside = (name for symbol in served for name in companions.get(symbol, ()))
        return tuple(dict.fromkeys(name for name in beside if name not in served))

    async def run(self, deliver: Callable[[Sequence[Answer]], None]) -> None:
        """Warm up from history, then answer every batch until the source ends."""
        try:
            await self._warm_up()
            async for batch in self.source.batches():
                answers = self.pipeline.answer(batch)
                deliver(answers)
                self.pipeline.record(answers)
                self.flags.refresh()
                self.reloader.refresh()
        finally:
            self.writer.close()

    async def _warm_up(self) -> None:
        for buffer in self.pipeline.buffers.values():
            history = await self.source.history(buffer.symbol, LOOKBACK_BARS)
            if history is not None:
                buffer.extend(history)
        self.pipeline.warm_up()
        # What lives now lives for ever: a later collection need not walk it, which takes long.
        gc.collect()
        gc.freeze()
