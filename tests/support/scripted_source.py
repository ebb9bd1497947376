"""A source that lets things happen between two batches, as they would around a live process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from plugin.bar import BarClosed
from plugin.candles import Candles
from plugin.sources import BarSource

_PATIENCE_S = 60.0


class ScriptedSource:
    """The batches of `source`; before batch number n (from 0) `happens[n]` is called, and awaited if
    it gives something to wait for."""

    def __init__(self, source: BarSource, happens: Mapping[int, Callable[[], object]]) -> None:
        self._source = source
        self._happens = happens

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        number = 0
        async for batch in self._source.batches():
            happening = self._happens.get(number, lambda: None)()
            if isinstance(happening, Awaitable):
                await happening
            yield batch
            number += 1

    def stop(self) -> None:
        self._source.stop()

    def state(self) -> Mapping[str, object]:
        return self._source.state()

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        return await self._source.history(symbol, n_bars)


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, with the event loop free; fail when it takes too long."""
    async with asyncio.timeout(_PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)
