"""How does a replay become as slow as a person who wants to watch it?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from plugin.bar import BarClosed
from plugin.candles import Candles
from plugin.sources.base import BarSource


class PacedSource:
    """The batches of another source, with a pause after each: so many bars of a symbol a second."""

    def __init__(self, source: BarSource, bars_per_second: float) -> None:
        self._source = source
        self._pause_s = 1.0 / bars_per_second

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        async for batch in self._source.batches():
            yield batch
            await asyncio.sleep(self._pause_s)

    def stop(self) -> None:
        self._source.stop()

    def state(self) -> Mapping[str, object]:
        return self._source.state()

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        return await self._source.history(symbol, n_bars)
