"""A source that lets things happen between two batches, as they would around a live process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from plugin.bar import BarClosed
from plugin.candles import Candles
from plugin.sources import BarSource


class ScriptedSource:
    """The batches of `source`; before batch number n (from 0) `happens[n]` is called."""

    def __init__(self, source: BarSource, happens: Mapping[int, Callable[[], object]]) -> None:
        self._source = source
        self._happens = happens

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        number = 0
        async for batch in self._source.batches():
            self._happens.get(number, lambda: None)()
            yield batch
            number += 1

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        return await self._source.history(symbol, n_bars)
