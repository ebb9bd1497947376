"""How do stored bars come back as events, one close after the other?"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby

from plugin.bar import BarClosed
from plugin.candles import Candles, closed_bars
from plugin.clock import ReplayClock
from plugin.errors import WrongUse


class ReplaySource:
    """The bars that open in `[since_ms, until_ms)`, with the clock set to the close of each batch.

    A bar that is absent in the candles is absent in the replay too. Within a batch the bars stand in
    the order of `candles`.
    """

    def __init__(
        self, candles: Sequence[Candles], since_ms: int, until_ms: int, clock: ReplayClock
    ) -> None:
        """Raises WrongUse unless every symbol comes once and all have one timeframe."""
        symbols = [one.symbol for one in candles]
        if len(set(symbols)) != len(symbols) or len({one.timeframe for one in candles}) > 1:
            raise WrongUse(
                "different symbols in one timeframe",
                ", ".join(symbols),
                "replay one timeframe at a time",
            )
        self._past = {one.symbol: one.between(one.first_open_ms, since_ms) for one in candles}
        self._coming = [one.between(since_ms, until_ms) for one in candles]
        self._clock = clock
        self._stopped = False

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        coming = [closed_bars(one, "replay") for one in self._coming]
        in_time_order = heapq.merge(*coming, key=_received_ms)
        for close_ms, batch in groupby(in_time_order, key=_received_ms):
            if self._stopped:
                return
            self._clock.advance_to(close_ms)
            yield list(batch)
            await asyncio.sleep(0)  # a replay never waits: let the other tasks have their turn

    def stop(self) -> None:
        self._stopped = True

    def state(self) -> Mapping[str, object]:
        return {}

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        past = self._past.get(symbol)
        if past is None or past.n_bars == 0:
            return None
        end_ms = past.first_open_ms + past.n_bars * past.timeframe.length_ms
        return past.between(end_ms - n_bars * past.timeframe.length_ms, end_ms)


def _received_ms(bar: BarClosed) -> int:
    return bar.received_ms
